/**
 * Hot: adds the header `x-stream-offset` to the properties of a stream's deliveries.
 *
 * Neighbours mostly have equal properties: those of the message before are kept with the header in them, and of the next one only the
 * eight bytes of its offset change. Others are rewritten, without making values of them where they have no such header.
 */
import type { DeliveryView } from '../../engine/engine.ts';
import { propertyFlag, propertyFlags } from '../../format/basic-properties.ts';
import { copyBytes, equalBytes, viewOf } from '../../format/copy.ts';
import { fieldTableEnd, replaceFields } from '../../format/field-table.ts';

const name = Buffer.from('x-stream-offset');
/** Name, type `l`, eight bytes. */
const field = Buffer.concat([Buffer.from([name.length]), name, Buffer.from('l'), Buffer.alloc(8)]);

const offsetBytes = 8;
const leastBytes = 512;

export class OffsetHeader {
  /** The properties as they are stored, those with the header, and the envelope, one behind the other. */
  #bytes = Buffer.alloc(leastBytes);
  #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
  #storedBytes = -1;
  #offsetAt = 0;
  #end = 0;
  #envelopeId = -1;
  #envelopeEnd = 0;

  /** Points the delivery, which is filled anew for the next message, to properties that have the header. */
  add(delivery: DeliveryView): void {
    const { head, propertiesStart, propertiesEnd } = delivery;
    const length = propertiesEnd - propertiesStart;
    if (
      length !== this.#storedBytes ||
      delivery.envelopeId !== this.#envelopeId ||
      !equalBytes(head, viewOf(head), propertiesStart, this.#bytes, this.#view, 0, length)
    )
      this.#rewrite(delivery);
    // Offsets count from 0, the engine's numbers from 1.
    const offset = delivery.number - 1;
    this.#view.setUint32(this.#offsetAt, offset > 0xffff_ffff ? Math.floor(offset / 0x1_0000_0000) : 0);
    this.#view.setUint32(this.#offsetAt + 4, offset >>> 0);
    delivery.head = this.#bytes;
    delivery.propertiesStart = this.#storedBytes;
    delivery.propertiesEnd = this.#end;
    delivery.envelopeStart = this.#end;
    delivery.envelopeEnd = this.#envelopeEnd;
  }

  #rewrite(delivery: DeliveryView): void {
    const { head, propertiesStart: start, propertiesEnd: end, envelopeStart, envelopeEnd } = delivery;
    const length = end - start;
    this.#reserve(2 * length + field.length + 4 + envelopeEnd - envelopeStart);
    const bytes = this.#bytes;
    const view = this.#view;
    let to = copyBytes(head, start, end, bytes, view, 0);
    const flags = propertyFlags(head, start);
    let at = start + 2;
    if ((flags & propertyFlag.contentType) !== 0) at += 1 + head[at]!;
    if ((flags & propertyFlag.contentEncoding) !== 0) at += 1 + head[at]!;
    view.setUint16(to, flags | propertyFlag.headers);
    to = copyBytes(head, start + 2, at, bytes, view, to + 2);
    if ((flags & propertyFlag.headers) === 0) {
      view.setUint32(to, field.length);
      to = copyBytes(field, 0, field.length, bytes, view, to + 4);
    } else {
      const tableEnd = fieldTableEnd(head, at, end);
      const table = head.subarray(at, tableEnd);
      if (table.includes(name)) {
        // It came from another stream, perhaps.
        const replaced = replaceFields(head, at, end, { 'x-stream-offset': 0n });
        bytes.set(replaced, to);
        to += replaced.length;
      } else {
        view.setUint32(to, table.length - 4 + field.length);
        to = copyBytes(head, at + 4, tableEnd, bytes, view, to + 4);
        to = copyBytes(field, 0, field.length, bytes, view, to);
      }
      at = tableEnd;
    }
    this.#offsetAt = to - offsetBytes;
    this.#end = copyBytes(head, at, end, bytes, view, to);
    this.#envelopeEnd = copyBytes(head, envelopeStart, envelopeEnd, bytes, view, this.#end);
    this.#storedBytes = length;
    this.#envelopeId = delivery.envelopeId;
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#bytes.length) return;
    this.#bytes = Buffer.alloc(2 * bytes);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
  }
}
