/**
 * What is made again after a lost connection, because it ended with the connection or with the broker: queues that are exclusive
 * or not durable, and their bindings. All else is the broker's to keep.
 */
import type { Address, QueueTraits } from '../link.ts';
import type { Control } from './control.ts';

interface Binding {
  readonly exchange: string;
  readonly routingKey: string;
}

interface Remembered {
  readonly traits: QueueTraits;
  readonly bindings: Map<string, Binding>;
}

export interface KnownQueue {
  readonly refusesWhenFull: boolean;
  /** What was bound here, and nothing else: others may have bound more. */
  readonly bindings: Map<string, Binding>;
  /** One consumer after another: a consumer that leaves for a moment loses its turn. */
  readonly singleActiveConsumer: boolean;
  readonly quorum: boolean;
}

export class Topology {
  readonly #control: Control;
  readonly #fleeting = new Map<string, Remembered>();
  /** Queues that were declared here, or found as they were to be. */
  readonly #known = new Map<string, KnownQueue>();

  /** Ended with the connection, and not there again yet; with who waits for them. */
  readonly #missing = new Map<string, (() => void)[]>();

  constructor(control: Control) {
    this.#control = control;
  }

  declared(traits: QueueTraits): void {
    const { name, durable, exclusive, arguments: table } = traits;
    const bindings = this.#known.get(name)?.bindings ?? new Map<string, Binding>();
    this.#known.set(name, {
      bindings,
      refusesWhenFull: table['x-overflow'] === 'reject-publish',
      singleActiveConsumer: table['x-single-active-consumer'] === true,
      quorum: table['x-queue-type'] === 'quorum',
    });
    if (durable && !exclusive) return;
    this.#fleeting.set(name, { traits, bindings });
  }

  deleted(queue: string): void {
    this.#fleeting.delete(queue);
    this.#known.delete(queue);
    this.#found(queue);
  }

  /** The connection is gone. */
  lost(): void {
    for (const [name, { traits }] of this.#fleeting) {
      if (traits.exclusive && !this.#missing.has(name)) this.#missing.set(name, []);
    }
  }

  /** Null: the queue is there, or somebody else's; else resolves once it is there again. */
  present(queue: string): Promise<void> | null {
    const waiting = this.#missing.get(queue);
    return waiting === undefined ? null : new Promise((resolve) => waiting.push(resolve));
  }

  bound(queue: string, exchange: string, routingKey: string): void {
    this.#known.get(queue)?.bindings.set(JSON.stringify([exchange, routingKey]), { exchange, routingKey });
  }

  unbound(queue: string, exchange: string, routingKey: string): void {
    this.#known.get(queue)?.bindings.delete(JSON.stringify([exchange, routingKey]));
  }

  /** Queues that refuse when they are full and were bound here to this very topic. */
  limitedBehind({ exchange, routingKey }: Address): string[] {
    const binding = JSON.stringify([exchange, routingKey]);
    const limited = [...this.#known].filter(([, queue]) => queue.refusesWhenFull && queue.bindings.has(binding));
    return limited.map(([name]) => name);
  }

  /** Undefined: it was not declared here. */
  known(queue: string): KnownQueue | undefined {
    return this.#known.get(queue);
  }

  /** @throws PostriderError QUEUE_LOCKED: the broker has not noticed yet that the old connection is gone */
  async restore(queue: string): Promise<void> {
    const remembered = this.#fleeting.get(queue);
    if (remembered === undefined) return;
    await this.#control.ask((channel) => channel.queueDeclare(declaration(remembered.traits)));
    for (const { exchange, routingKey } of remembered.bindings.values()) {
      await this.#control.ask((channel) => channel.queueBind({ queue, exchange, routingKey }));
    }
    this.#found(queue);
  }

  /** All of it, as far as it can be done at once; a consumer sees to its own queue until it is there. */
  async restoreAll(): Promise<void> {
    await Promise.all(Array.from(this.#fleeting.keys(), (queue) => this.restore(queue).catch(() => undefined)));
  }

  /** It is closed: nobody waits any more. */
  close(): void {
    for (const queue of [...this.#missing.keys()]) this.#found(queue);
  }

  #found(queue: string): void {
    const waiting = this.#missing.get(queue) ?? [];
    this.#missing.delete(queue);
    for (const found of waiting) found();
  }
}

export function declaration({ name, durable, exclusive, autoDelete, arguments: table }: QueueTraits): {
  queue: string;
  durable: boolean;
  exclusive: boolean;
  autoDelete: boolean;
  arguments: Record<string, unknown>;
} {
  return { queue: name, durable, exclusive, autoDelete, arguments: table };
}
