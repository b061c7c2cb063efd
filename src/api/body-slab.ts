/** Hot: keeps the bodies of messages that are being handled, one behind the other: a buffer for each would cost more than its copy. */
import { isAscii } from 'node:buffer';
import { copyBytes, viewOf } from '../format/copy.ts';
import type { Delivery } from './link.ts';
import type { Message } from './message.ts';

/** The first is small, since many a consumer handles little. */
const FIRST_SLAB_BYTES = 8 * 1024;
const SLAB_BYTES = 64 * 1024;
/** A longer body gets a buffer of its own. */
const LONG_BYTES = 4 * 1024;
const noBytes = Buffer.alloc(0);

/** Where a body lies. */
export type KeptBody = Pick<Delivery, 'body' | 'bodyStart' | 'bodyEnd'>;

export class BodySlab {
  #slab: Buffer = noBytes;
  #end = 0;
  /** What was made text last: these bytes of that slab. */
  #textOf: Buffer = noBytes;
  #textStart = 0;
  #textEnd = 0;
  /** Null: it is not ASCII, so that where a body begins in it is not known. */
  #text: string | null = null;

  /** Copies the delivery's body, and tells the message where it is. */
  keep(message: Message, { body, bodyStart, bodyEnd }: Delivery): void {
    const length = bodyEnd - bodyStart;
    if (length > LONG_BYTES) {
      message.keepBody(Buffer.from(body.subarray(bodyStart, bodyEnd)), 0, length);
      return;
    }
    if (this.#end + length > this.#slab.length) {
      // What is left is no text of anybody's.
      this.#slab.fill(0, this.#end);
      // The one before goes with the last message in it.
      this.#slab = Buffer.allocUnsafeSlow(this.#slab.length === 0 ? FIRST_SLAB_BYTES : SLAB_BYTES);
      this.#end = 0;
    }
    const start = this.#end;
    this.#end = copyBytes(body, bodyStart, bodyEnd, this.#slab, viewOf(this.#slab), start);
    message.keepBody(this.#slab, start, this.#end);
  }

  /**
   * A kept body as text, to be parsed: it may share what all those behind it were made into at once, since one call for each is dear.
   * In the order in which they were kept.
   */
  textOf({ body, bodyStart, bodyEnd }: KeptBody): string {
    if (body !== this.#textOf || bodyStart < this.#textStart || bodyEnd > this.#textEnd) {
      const end = body === this.#slab ? this.#end : body.length;
      if (bodyEnd === end) return body.toString('utf8', bodyStart, bodyEnd);
      const bytes = body.subarray(bodyStart, end);
      this.#text = isAscii(bytes) ? bytes.toString('latin1') : null;
      this.#textOf = body;
      this.#textStart = bodyStart;
      this.#textEnd = end;
    }
    const text = this.#text;
    if (text === null) return body.toString('utf8', bodyStart, bodyEnd);
    const start = this.#textStart;
    // Nobody wants the rest.
    if (bodyEnd === this.#textEnd) {
      this.#textOf = noBytes;
      this.#text = null;
    }
    return text.substring(bodyStart - start, bodyEnd - start);
  }
}
