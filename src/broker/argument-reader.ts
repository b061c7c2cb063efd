import type { FieldValue } from '../format/field-table.ts';
import { BrokerError } from './broker-error.ts';
import { fieldType } from './field-type.ts';

/** The longest time that RabbitMQ takes: ten years. */
const longestMs = 315_360_000_000;

/** Reads one argument; each method refuses with RabbitMQ's text what the argument can't be. */
export class ArgumentReader {
  readonly name: string;
  readonly #value: FieldValue;
  /** The resource that the argument is for. */
  readonly #resource: string;

  constructor(name: string, value: FieldValue, resource: string) {
    this.name = name;
    this.#value = value;
    this.#resource = resource;
  }

  invalid(reason: string): BrokerError {
    return new BrokerError('PRECONDITION_FAILED', `invalid arg '${this.name}' for ${this.#resource}: ${reason}`);
  }

  integer(): number {
    const value = this.#value;
    if (typeof value === 'bigint') return Number(value);
    if (typeof value !== 'number' || !Number.isInteger(value)) {
      throw this.invalid(`"expected integer, got ${fieldType(value)}"`);
    }
    return value;
  }

  count(): number {
    const value = this.integer();
    if (value < 0) throw this.invalid(`{value_negative,${value}}`);
    return value;
  }

  timeMs(): number {
    const value = this.count();
    if (value > longestMs) throw this.invalid(`{value_too_large,${value}}`);
    return value;
  }

  string(): string {
    if (typeof this.#value !== 'string') throw this.invalid(`{unacceptable_type,${fieldType(this.#value)}}`);
    return this.#value;
  }

  boolean(): boolean {
    if (typeof this.#value !== 'boolean') throw this.invalid(`{unacceptable_type,${fieldType(this.#value)}}`);
    return this.#value;
  }

  /** The name of an exchange, whose wrong type RabbitMQ refuses in other words. */
  exchangeName(): string {
    if (typeof this.#value === 'string') return this.#value;
    throw new BrokerError(
      'PRECONDITION_FAILED',
      `invalid type '${fieldType(this.#value)}' for arg '${this.name}' in ${this.#resource}`,
    );
  }
}
