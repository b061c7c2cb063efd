/** Hot: keeps the bodies of messages that are being handled, one behind the other: a buffer for each would cost more than its copy. */
import { copyBytes, viewOf } from '../format/copy.ts';
import type { Delivery } from './link.ts';
import type { Message } from './message.ts';

/** The first is small, since many a consumer handles little. */
const FIRST_SLAB_BYTES = 8 * 1024;
const SLAB_BYTES = 64 * 1024;
/** A longer body gets a buffer of its own. */
const LONG_BYTES = 4 * 1024;

export class BodySlab {
  #slab: Buffer = Buffer.alloc(0);
  #end = 0;

  /** Copies the delivery's body, and tells the message where it is. */
  keep(message: Message, { body, bodyStart, bodyEnd }: Delivery): void {
    const length = bodyEnd - bodyStart;
    if (length > LONG_BYTES) {
      message.keepBody(Buffer.from(body.subarray(bodyStart, bodyEnd)), 0, length);
      return;
    }
    if (this.#end + length > this.#slab.length) {
      // The one before goes with the last message in it.
      this.#slab = Buffer.allocUnsafeSlow(this.#slab.length === 0 ? FIRST_SLAB_BYTES : SLAB_BYTES);
      this.#end = 0;
    }
    const start = this.#end;
    this.#end = copyBytes(body, bodyStart, bodyEnd, this.#slab, viewOf(this.#slab), start);
    message.keepBody(this.#slab, start, this.#end);
  }
}
