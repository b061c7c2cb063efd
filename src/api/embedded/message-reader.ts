/** Hot: reads deliveries of one consumer. What is equal from one message to the next (properties, address) is decoded once. */
import type { DeliveryView } from '../../broker/index.ts';
import { type BasicProperties, decodeProperties } from '../../format/basic-properties.ts';
import { equalBytes, viewOf } from '../../format/copy.ts';
import type { Delivery } from '../link.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export class MessageReader {
  readonly delivery: Writable<Delivery> = {
    tag: 0,
    body: Buffer.alloc(0),
    bodyStart: 0,
    bodyEnd: 0,
    properties: {},
    exchange: '',
    routingKey: '',
    redelivered: false,
    deliveryCount: 0,
  };
  #envelopeId = -1;
  #properties = Buffer.alloc(256);
  #propertiesView = new DataView(this.#properties.buffer, this.#properties.byteOffset, this.#properties.length);
  #propertiesBytes = -1;

  read(view: DeliveryView): Writable<Delivery> {
    const { delivery } = this;
    if (view.envelopeId !== this.#envelopeId) this.#readEnvelope(view);
    const { head, propertiesStart: start, propertiesEnd: end } = view;
    const length = end - start;
    if (
      length !== this.#propertiesBytes ||
      !equalBytes(head, viewOf(head), start, this.#properties, this.#propertiesView, 0, length)
    ) {
      delivery.properties = this.#decode(head, start, end);
    }
    delivery.body = view.body;
    delivery.bodyStart = view.bodyStart;
    delivery.bodyEnd = view.bodyEnd;
    delivery.redelivered = view.redelivered;
    delivery.deliveryCount = view.deliveryCount;
    return delivery;
  }

  #decode(head: Buffer, start: number, end: number): BasicProperties {
    const length = end - start;
    this.#propertiesBytes = -1;
    if (length <= this.#properties.length) {
      head.copy(this.#properties, 0, start, end);
      this.#propertiesBytes = length;
    }
    return decodeProperties(head, start, end);
  }

  #readEnvelope(view: DeliveryView): void {
    const { head, envelopeStart } = view;
    const keyAt = envelopeStart + 1 + (head[envelopeStart] ?? 0);
    this.delivery.exchange = head.toString('utf8', envelopeStart + 1, keyAt);
    this.delivery.routingKey = head.toString('utf8', keyAt + 1, keyAt + 1 + (head[keyAt] ?? 0));
    this.#envelopeId = view.envelopeId;
  }
}
