/** Hot path: where a channel's publishes go, kept as the bytes of their method so that a repeat is known without reading it. */
import type { Route } from '../../broker/index.ts';
import { equalBytes } from '../../format/copy.ts';
import { controlKey, replyToPrefix, topologyKey } from './reply-to.ts';
import { readText } from '../../wire/amqp/method.ts';
import { undecodable } from '../../wire/amqp/undecodable.ts';

export class PublishTarget {
  exchange = '';
  routingKey = '';
  mandatory = false;
  immediate = false;
  /** Taken by the server itself, past every queue: a client's direct reply-to address, or a request to the server. */
  isSpecial = false;
  /** Null until the first message on it; to be looked up again once its version is not the vhost's. */
  route: Route | null = null;

  #bytes = Buffer.alloc(0);
  #view = new DataView(this.#bytes.buffer);
  #length = -1;

  /** The arguments of basic.publish (behind class and method). @throws ConnectionError */
  take(bytes: Buffer, view: DataView, start: number, end: number): void {
    const length = end - start;
    if (length === this.#length && equalBytes(bytes, view, start, this.#bytes, this.#view, 0, length)) return;
    this.#read(bytes, start, end);
    this.#keep(bytes, start, end);
  }

  /** reserved u16, exchange shortstr, routing-key shortstr, bits mandatory and immediate */
  #read(bytes: Buffer, start: number, end: number): void {
    this.#length = -1;
    this.route = null;
    const exchangeAt = start + 3;
    const exchangeEnd = exchangeAt + (exchangeAt <= end ? bytes[start + 2]! : 0);
    const keyAt = exchangeEnd + 1;
    const keyEnd = keyAt + (keyAt <= end ? bytes[exchangeEnd]! : 0);
    if (keyEnd + 1 !== end) throw undecodable(bytes, start, end);
    this.exchange = readText(bytes, exchangeAt, exchangeEnd);
    this.routingKey = readText(bytes, keyAt, keyEnd);
    const key = this.routingKey;
    const isSpecial = key.startsWith(replyToPrefix) || key === controlKey || key === topologyKey;
    this.isSpecial = isSpecial && this.exchange === '';
    this.mandatory = (bytes[keyEnd]! & 1) !== 0;
    this.immediate = (bytes[keyEnd]! & 2) !== 0;
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    if (length > this.#bytes.length) {
      this.#bytes = Buffer.alloc(length + 16);
      this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
    }
    bytes.copy(this.#bytes, 0, start, end);
    this.#length = length;
  }
}
