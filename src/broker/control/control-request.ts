import type { ControlVerb } from './control-verb.ts';
import { badRequest } from './control-verb.ts';

/** The fields of one request. All methods throw `BrokerError` COMMAND_INVALID for a field that is not what it must be. */
export class ControlRequest {
  readonly verb: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(verb: string, fields: Readonly<Record<string, unknown>>) {
    this.verb = verb;
    this.#fields = fields;
  }

  /** @throws BrokerError COMMAND_INVALID */
  static parse(json: string): ControlRequest {
    let value: unknown;
    try {
      value = JSON.parse(json);
    } catch {
      throw badRequest('a control request must be a JSON object with a verb; this is no JSON');
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw badRequest('a control request must be a JSON object with a verb');
    }
    const { verb, ...fields } = value as Record<string, unknown>;
    if (typeof verb !== 'string') throw badRequest('a control request must name its verb');
    return new ControlRequest(verb, fields);
  }

  requireOnly({ fields }: Pick<ControlVerb, 'fields'>): void {
    for (const name of Object.keys(this.#fields)) {
      if (!fields.includes(name)) throw badRequest(`${this.verb} has no field ${JSON.stringify(name)}`);
    }
  }

  has(name: string): boolean {
    return this.#given(name) !== undefined;
  }

  text(name: string): string {
    const value = this.#given(name);
    if (typeof value !== 'string') throw this.wrong(name, 'a text');
    return value;
  }

  optionalText(name: string): string | undefined {
    return this.has(name) ? this.text(name) : undefined;
  }

  texts(name: string): readonly string[] {
    const value = this.#given(name);
    if (!Array.isArray(value) || !value.every((each) => typeof each === 'string'))
      throw this.wrong(name, 'a list of texts');
    return value;
  }

  /** A whole number. */
  count(name: string, least = 0, most: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.#given(name);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > most) {
      throw this.wrong(name, `a whole number from ${least} to ${most}`);
    }
    return value;
  }

  optionalCount(name: string, least = 0, most: number = Number.MAX_SAFE_INTEGER): number | undefined {
    return this.has(name) ? this.count(name, least, most) : undefined;
  }

  /** Absent is false. */
  flag(name: string): boolean {
    const value = this.#given(name) ?? false;
    if (typeof value !== 'boolean') throw this.wrong(name, 'true or false');
    return value;
  }

  /** As it stands; whoever reads it checks it. */
  value(name: string): unknown {
    return this.#given(name);
  }

  wrong(name: string, wanted: string): Error {
    return badRequest(`${this.verb}: ${name} must be ${wanted}`);
  }

  /** Own fields alone, and `null` is as good as absent. */
  #given(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? (this.#fields[name] ?? undefined) : undefined;
  }
}
