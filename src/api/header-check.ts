/** Headers as users give them, plain JavaScript included: what can't be encoded is told before anything is sent, by the header's name. */
import {
  FieldDecimal,
  type FieldTable,
  FieldTimestamp,
  type FieldValue,
  maxTableDepth,
} from '../format/field-table.ts';
import { PostriderError } from './errors.ts';
import { describe } from './option-check.ts';

/** Values in all the tables and lists of one message: nobody means more, and one object in many places may stand for millions. */
const mostValues = 65_536;
const mostNameBytes = 255;
const leastInteger = -(2n ** 63n);
const mostInteger = 2n ** 64n - 1n;
/** More routing keys, in AMQP. */
const routing = ['CC', 'BCC'];

/** A copy, without what is undefined, as in JSON. @throws PostriderError INVALID_OPTION */
export function checkedHeaders(where: string, headers: unknown): FieldTable {
  const check = new HeaderCheck(where);
  if (!isPlain(headers)) throw check.refused('headers', `must be a plain object, not ${kindOf(headers)}`);
  let table: FieldTable;
  try {
    table = check.table(headers, '', 0);
  } catch (error) {
    if (error instanceof PostriderError) throw error;
    // Of a getter, or a proxy.
    throw new PostriderError('INVALID_OPTION', `${where}: the headers can't be read: ${String(error)}`, {
      cause: error,
    });
  }
  for (const name of routing) {
    const keys = table[name];
    if (keys === undefined || (Array.isArray(keys) && keys.every(isRoutingKey))) continue;
    throw check.refused(
      `header '${name}'`,
      'has more routing keys in AMQP, and must be a list of texts; use another name',
    );
  }
  return table;
}

class HeaderCheck {
  readonly #where: string;
  readonly #around: object[] = [];
  #values = 0;

  constructor(where: string) {
    this.#where = where;
  }

  refused(which: string, why: string): PostriderError {
    return new PostriderError('INVALID_OPTION', `${this.#where}: the ${which} ${why}`);
  }

  table(from: object, path: string, depth: number): FieldTable {
    const table: FieldTable = {};
    for (const [name, value] of Object.entries(from)) {
      if (value === undefined) continue;
      const bytes = Buffer.byteLength(name);
      if (bytes > mostNameBytes) {
        const shown = `${name.slice(0, 40)}...`;
        throw this.refused('name of a header', `may have ${mostNameBytes} bytes, and '${shown}' has ${bytes}`);
      }
      const inner = this.#value(value, path === '' ? name : `${path}.${name}`, depth + 1);
      // `__proto__` is a name like any other.
      Object.defineProperty(table, name, { value: inner, enumerable: true, configurable: true, writable: true });
    }
    return table;
  }

  #value(value: unknown, path: string, depth: number): FieldValue {
    this.#values += 1;
    if (this.#values > mostValues)
      throw this.refused('headers', `have more than ${mostValues} values; send them as the payload`);
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value;
      case 'number':
        if (Number.isFinite(value)) return value;
        break;
      case 'bigint':
        if (value >= leastInteger && value <= mostInteger) return value;
        throw this.refused(`header '${path}'`, 'is an integer of more than 64 bits; send a text');
      case 'object':
        return value === null ? null : this.#object(value, path, depth);
      default:
    }
    throw this.refused(
      `header '${path}'`,
      `can't be ${kindOf(value)}; send a text, a number, or a list or table of such`,
    );
  }

  #object(value: object, path: string, depth: number): FieldValue {
    if (value instanceof Uint8Array || value instanceof FieldTimestamp || value instanceof FieldDecimal) return value;
    const isList = Array.isArray(value);
    if (!isList && !isPlain(value)) {
      throw this.refused(`header '${path}'`, `can't be ${kindOf(value)}; send a text, a number, or a plain object`);
    }
    if (this.#around.includes(value)) throw this.refused(`header '${path}'`, 'contains itself');
    if (depth >= maxTableDepth) throw this.refused(`header '${path}'`, `is nested deeper than ${maxTableDepth}`);
    this.#around.push(value);
    // As in JSON, a hole in a list is null.
    const inner = isList
      ? Array.from(value as readonly unknown[], (item, index) =>
          this.#value(item ?? null, `${path}.${index}`, depth + 1),
        )
      : this.table(value, path, depth);
    this.#around.pop();
    return inner;
  }
}

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // Of whichever realm: the prototype of plain objects has none itself.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function isRoutingKey(value: FieldValue): boolean {
  return typeof value === 'string' && Buffer.byteLength(value) <= mostNameBytes;
}

/** "a Date", "a symbol", "NaN". */
function kindOf(value: unknown): string {
  if (typeof value === 'symbol' || typeof value === 'undefined')
    return typeof value === 'symbol' ? 'a symbol' : 'undefined';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return describe(value);
  const { constructor } = value;
  return typeof constructor === 'function' && constructor.name !== '' ? `a ${constructor.name}` : 'an object';
}
