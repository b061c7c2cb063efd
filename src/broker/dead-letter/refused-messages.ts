import type { DeliveryView, EngineQueue, ItemOutcome, Lease, MessageView } from '../../engine/engine.ts';
import type { Broker } from '../broker.ts';
import type { Queue } from '../queue.ts';
import type { Route } from '../route.ts';
import { DeadMessage } from './dead-message.ts';

/** It was never held: nothing is settled under it. */
const noLease: Lease = { id: 0, lost: true };

interface Kept {
  readonly item: number;
  readonly route: Route;
  /** Its head holds envelope and properties. */
  readonly message: MessageView;
}

/** The messages of one batch that a full queue may dead-letter as it refuses them (reject-publish-dlx): kept until that is known. */
export class RefusedMessages {
  readonly #broker: Broker;
  readonly #kept: Kept[] = [];

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** `item`: its number in the batch. */
  keep(item: number, route: Route, message: MessageView): void {
    if (route.targets !== null) this.#kept.push({ item, route, message: copyOf(message, route.targets.envelope) });
  }

  /** What became of the batch. */
  answered(outcomes: readonly ItemOutcome[] | null): void {
    if (outcomes === null) return;
    const refused = new Set(outcomes.filter(({ reason }) => reason === 'max-length').map(({ item }) => item));
    if (refused.size === 0) return;
    const { clock, log } = this.#broker.context;
    // Outside of the engine's own work, since it begins another batch.
    clock.defer(() => {
      this.#deadLetter(this.#kept.filter(({ item }) => refused.has(item))).catch((error: unknown) =>
        log(`could not dead-letter what a full queue refused: ${String(error)}`),
      );
    });
  }

  async #deadLetter(refused: readonly Kept[]): Promise<void> {
    for (const { route, message } of refused) {
      for (const queue of await this.#refusing(route, message)) {
        if (queue.handle === null || queue.handle.deleted) continue;
        this.#broker.deadLetters.publish(new DeadMessage(asDelivery(message, queue.handle), noLease, 'maxlen'));
      }
    }
  }

  /** The queues that refused it: of several on its way not each need be full. */
  async #refusing({ queues }: Route, message: MessageView): Promise<Queue[]> {
    const refusing: Queue[] = [];
    for (const queue of queues) {
      if (!queue.deadLettersRefused || queue.handle === null) continue;
      const { maxLength, maxBytes } = queue.settings;
      const { ready, readyBytes } = await this.#broker.engine.stats(queue.handle);
      const isFull =
        (maxLength !== null && ready >= maxLength) ||
        (maxBytes !== null && readyBytes + message.bodyEnd - message.bodyStart > maxBytes);
      if (isFull || queues.length === 1) refusing.push(queue);
    }
    return refusing;
  }
}

function copyOf(message: MessageView, envelope: Buffer): MessageView {
  const properties = message.head.subarray(message.propertiesStart, message.propertiesEnd);
  return {
    ...message,
    head: Buffer.concat([envelope, properties]),
    envelopeStart: 0,
    envelopeEnd: envelope.length,
    propertiesStart: envelope.length,
    propertiesEnd: envelope.length + properties.length,
    body: Buffer.from(message.body.subarray(message.bodyStart, message.bodyEnd)),
    bodyStart: 0,
    bodyEnd: message.bodyEnd - message.bodyStart,
  };
}

function asDelivery(message: MessageView, queue: EngineQueue): DeliveryView {
  return { ...message, queue, number: 0, redelivered: false, deliveryCount: 0, storedAt: 0, envelopeId: 0 };
}
