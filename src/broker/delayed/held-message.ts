import type { DeliveryView, EngineQueue, MessageView } from '../../engine/engine.ts';
import { propertyFlag, propertyFlags, readHeaders, rewriteProperties } from '../../format/basic-properties.ts';
import type { FieldTable } from '../../format/field-table.ts';
import { readEnvelope } from '../envelope.ts';
import { readExpiration, readPriority, senderRoutes } from '../publish-properties.ts';

/** A message that is due and leaves its exchange, copied out of the engine's view of it. */
export class HeldMessage {
  readonly number: number;
  /** The exchange that it was published to, which bindings may have led on from. */
  readonly exchange: string;
  readonly routingKeys: readonly string[];
  readonly headers: FieldTable | null;
  readonly bytes: number;
  /** A queue refused it: to each by itself, so that this keeps it from no other. */
  apart = false;
  readonly refused = new Set<EngineQueue>();
  readonly #properties: Buffer;
  readonly #body: Buffer;

  constructor({ number, head, envelopeStart, propertiesStart, propertiesEnd, body, bodyStart, bodyEnd }: DeliveryView) {
    const { exchange, routingKey } = readEnvelope(head, envelopeStart);
    this.number = number;
    this.exchange = exchange;
    this.headers = readHeaders(head, propertiesStart, propertiesEnd) ?? null;
    // It was kept to route by, and goes no further.
    this.#properties =
      this.headers?.['BCC'] === undefined
        ? Buffer.from(head.subarray(propertiesStart, propertiesEnd))
        : rewriteProperties(head, propertiesStart, propertiesEnd, { headers: { BCC: undefined } });
    this.#body = Buffer.from(body.subarray(bodyStart, bodyEnd));
    this.routingKeys = [routingKey, ...senderRoutes(this.headers)];
    this.bytes = this.#properties.length + this.#body.length;
  }

  /** As it goes on: its own time to live begins when it is due. */
  view(nowMs: number): MessageView {
    const head = this.#properties;
    const expires = (propertyFlags(head, 0) & propertyFlag.expiration) !== 0;
    return {
      head,
      envelopeStart: 0,
      envelopeEnd: 0,
      propertiesStart: 0,
      propertiesEnd: head.length,
      body: this.#body,
      bodyStart: 0,
      bodyEnd: this.#body.length,
      expiresAt: expires ? nowMs + readExpiration(head, 0, head.length) : 0,
      priority: readPriority(head, 0, head.length),
      dueAt: 0,
      identity: null,
    };
  }
}
