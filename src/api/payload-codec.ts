/**
 * Hot: payloads to bytes and back, checked against the schema on both sides.
 *
 * Without a serializer a payload is JSON; bytes (`Buffer`, typed arrays, `DataView`, `ArrayBuffer`) travel as they are. What comes in is
 * read by its content type: JSON is parsed, text is a string, everything else stays bytes, as do messages that name no type.
 */
import { types } from 'node:util';
import { asError, PostriderError } from './errors.ts';
import type { Delivery } from './link.ts';
import type { Serializer } from './serializer.ts';
import { describeIssues, type SchemaResult, type StandardSchema } from './standard-schema.ts';

export const jsonType = 'application/json';
export const bytesType = 'application/octet-stream';

export interface Encoded {
  readonly body: Uint8Array | string;
  readonly contentType: string;
}

/** What a payload is read from: a delivery, or a message that keeps its bytes. */
export type EncodedBody = Pick<Delivery, 'body' | 'bodyStart' | 'bodyEnd' | 'properties'>;

/** Makes bodies text, of many at once. */
export interface BodyTexts {
  textOf(encoded: EncodedBody): string;
}

export class PayloadCodec<Out, In> {
  readonly #serializer: Serializer | null;
  readonly #schema: StandardSchema<In, Out> | null;
  /** For errors: "queue 'orders'". */
  readonly #where: string;
  /** What can't be read is handed on as bytes. */
  readonly #lenient: boolean;

  constructor(
    where: string,
    schema: StandardSchema<In, Out> | undefined,
    serializer: Serializer | undefined,
    lenient = false,
  ) {
    this.#where = where;
    this.#schema = schema ?? null;
    this.#serializer = serializer ?? null;
    this.#lenient = lenient;
  }

  /** Of dead letters: what could not be read is among them. */
  static ofDeadLetters(queue: string): PayloadCodec<unknown, unknown> {
    return new PayloadCodec<unknown, unknown>(`queue '${queue}'`, undefined, undefined, true);
  }

  /** Checks a payload before it is sent. What is sent is the payload itself: the consumer's side transforms it. @throws PostriderError SCHEMA_MISMATCH */
  check(payload: In): void | Promise<void> {
    if (this.#schema === null) return undefined;
    const result = this.#validate(payload);
    if (result instanceof Promise) return result.then((checked) => void this.#valid(checked, 'publish to'));
    this.#valid(result, 'publish to');
    return undefined;
  }

  /** @throws PostriderError INVALID_PAYLOAD */
  encode(payload: In): Encoded {
    if (this.#serializer !== null) return this.#serialize(this.#serializer, payload);
    let text: string | undefined;
    try {
      // One look at plain objects: their prototype would be asked for at ten times the price.
      if (typeof payload === 'object' && payload !== null && payload.constructor !== Object) {
        const bytes = bytesOf(payload);
        if (bytes !== null) return { body: bytes, contentType: bytesType };
        requireJson(payload);
      }
      text = JSON.stringify(payload);
    } catch (error) {
      throw this.#unencodable(error);
    }
    if (text === undefined) {
      throw new PostriderError(
        'INVALID_PAYLOAD',
        `can't publish to ${this.#where}: a payload of type ${typeof payload} has no JSON; send null, or an object`,
      );
    }
    return { body: text, contentType: jsonType };
  }

  /** @throws PostriderError INVALID_PAYLOAD, SCHEMA_MISMATCH */
  decode(encoded: EncodedBody, texts: BodyTexts = eachByItself): Out | Promise<Out> {
    const payload = this.#deserialize(encoded, texts);
    if (this.#schema === null) return payload as Out;
    const result = this.#validate(payload);
    if (result instanceof Promise) return result.then((checked) => this.#valid(checked, 'message from'));
    return this.#valid(result, 'message from');
  }

  #validate(payload: unknown): SchemaResult<Out> | Promise<SchemaResult<Out>> {
    try {
      const result = this.#schema!['~standard'].validate(payload);
      return result instanceof Promise ? result.catch((error: unknown) => this.#threw(error)) : result;
    } catch (error) {
      return this.#threw(error);
    }
  }

  #threw(error: unknown): SchemaResult<Out> {
    return { issues: [{ message: `the schema threw: ${reason(error)}` }] };
  }

  #valid(result: SchemaResult<Out>, what: string): Out {
    if (result.issues === undefined) return result.value;
    throw new PostriderError(
      'SCHEMA_MISMATCH',
      `${what} ${this.#where}: the payload does not fit the schema: ${describeIssues(result.issues)}`,
      { cause: result.issues },
    );
  }

  #serialize(serializer: Serializer, payload: In): Encoded {
    let bytes: Uint8Array | string;
    try {
      bytes = serializer.serialize(payload);
    } catch (error) {
      throw this.#unencodable(error);
    }
    const { contentType } = serializer;
    if (typeof bytes === 'string') return { body: bytes, contentType };
    // A copy: it may write the next one into the same buffer.
    if (bytes instanceof Uint8Array) return { body: Buffer.from(bytes), contentType };
    throw new PostriderError(
      'INVALID_PAYLOAD',
      `can't publish to ${this.#where}: the serializer for ${contentType} gave ${typeof bytes} instead of bytes or text`,
    );
  }

  #deserialize(encoded: EncodedBody, texts: BodyTexts): unknown {
    const { body, bodyStart, bodyEnd, properties } = encoded;
    const contentType = properties.contentType ?? '';
    try {
      if (this.#serializer !== null) {
        return this.#serializer.deserialize(Buffer.from(body.subarray(bodyStart, bodyEnd)), contentType);
      }
      if (contentType === jsonType || isJson(contentType)) return JSON.parse(texts.textOf(encoded));
    } catch (error) {
      if (this.#lenient) return Buffer.from(body.subarray(bodyStart, bodyEnd));
      throw new PostriderError(
        'INVALID_PAYLOAD',
        `a message from ${this.#where} can't be read as ${contentType || 'what the serializer expects'}: ${reason(error)}`,
        { cause: error },
      );
    }
    if (contentType.startsWith('text/')) return body.toString('utf8', bodyStart, bodyEnd);
    return Buffer.from(body.subarray(bodyStart, bodyEnd));
  }

  #unencodable(error: unknown): PostriderError {
    return new PostriderError(
      'INVALID_PAYLOAD',
      `can't publish to ${this.#where}: the payload can't be encoded: ${reason(error)}`,
      { cause: error },
    );
  }
}

const eachByItself: BodyTexts = {
  textOf: ({ body, bodyStart, bodyEnd }) => body.toString('utf8', bodyStart, bodyEnd),
};

/** A copy: its owner may change it before it is stored. Null: it is no bytes. */
function bytesOf(payload: object): Buffer | null {
  if (payload instanceof Uint8Array) return Buffer.from(payload);
  if (ArrayBuffer.isView(payload)) {
    return Buffer.from(new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength));
  }
  return types.isAnyArrayBuffer(payload) ? Buffer.from(new Uint8Array(payload)) : null;
}

/** JSON would make `{}` of these, and say nothing. @throws Error */
function requireJson(payload: object): void {
  if (typeof (payload as { toJSON?: unknown }).toJSON === 'function') return;
  if (types.isPromise(payload)) throw new Error('it is a promise; is an await missing?');
  if (types.isMap(payload)) throw new Error('a Map has no JSON; send Object.fromEntries(map), or [...map]');
  if (types.isSet(payload)) throw new Error('a Set has no JSON; send [...set]');
}

/** `application/json; charset=utf-8`, `application/cloudevents+json`, ... */
function isJson(contentType: string): boolean {
  return /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(contentType);
}

function reason(error: unknown): string {
  return asError(error).message.split('\n', 1)[0]!;
}
