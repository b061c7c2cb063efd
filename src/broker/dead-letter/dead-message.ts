import type { DeliveryView, EngineQueue, Lease, MessageView } from '../../engine/engine.ts';
import { decodeProperties, readHeaders, readStringProperty, rewriteProperties } from '../../format/basic-properties.ts';
import type { FieldTable } from '../../format/field-table.ts';
import { readEnvelope } from '../envelope.ts';
import { readPriority, senderRoutes } from '../publish-properties.ts';
import { type DeathReason, deathHeaders } from './death.ts';

/** A message that is leaving its queue, copied out of the engine's view of it. It is held under `lease` until it is settled. */
export class DeadMessage {
  readonly queue: EngineQueue;
  readonly lease: Lease;
  readonly number: number;
  readonly reason: DeathReason;
  readonly bytes: number;
  readonly #exchange: string;
  readonly #routingKey: string;
  readonly #properties: Buffer;
  readonly #body: Buffer;

  constructor(delivery: DeliveryView, lease: Lease, reason: DeathReason) {
    const { head, body } = delivery;
    const { exchange, routingKey } = readEnvelope(head, delivery.envelopeStart);
    this.queue = delivery.queue;
    this.lease = lease;
    this.number = delivery.number;
    this.reason = reason;
    this.#exchange = exchange;
    this.#routingKey = routingKey;
    this.#properties = Buffer.from(head.subarray(delivery.propertiesStart, delivery.propertiesEnd));
    this.#body = Buffer.from(body.subarray(delivery.bodyStart, delivery.bodyEnd));
    this.bytes = this.#properties.length + this.#body.length;
  }

  /**
   * The message as it goes on: one death more, no expiration, and no CC where the queue gives it a routing key of its own.
   * @throws FormatError when its properties are damaged
   */
  next(queueName: string, ownRoutingKey: string | null, timeMs: number): NextMessage {
    const properties = this.#properties;
    const headers = readHeaders(properties, 0, properties.length) ?? null;
    const routingKeys = [this.#routingKey, ...lenientSenderRoutes(headers)];
    const rewritten = rewriteProperties(properties, 0, properties.length, {
      headers: {
        ...deathHeaders(headers, {
          reason: this.reason,
          queue: queueName,
          timeMs,
          exchange: this.#exchange,
          routingKeys,
          expiration: readStringProperty(properties, 0, properties.length, 'expiration'),
        }),
        ...(ownRoutingKey === null ? {} : { CC: undefined }),
      },
      remove: ['expiration'],
    });
    return {
      routingKeys: ownRoutingKey === null ? routingKeys : [ownRoutingKey],
      headers: decodeProperties(rewritten, 0, rewritten.length).headers ?? null,
      view: {
        head: rewritten,
        envelopeStart: 0,
        envelopeEnd: 0,
        propertiesStart: 0,
        propertiesEnd: rewritten.length,
        body: this.#body,
        bodyStart: 0,
        bodyEnd: this.#body.length,
        expiresAt: 0,
        priority: readPriority(rewritten, 0, rewritten.length),
        dueAt: 0,
        identity: null,
      },
    };
  }
}

export interface NextMessage {
  readonly routingKeys: readonly string[];
  readonly headers: FieldTable | null;
  readonly view: MessageView;
}

/** What is in a queue can't be refused any more. */
function lenientSenderRoutes(headers: FieldTable | null): string[] {
  try {
    return senderRoutes(headers);
  } catch {
    return [];
  }
}
