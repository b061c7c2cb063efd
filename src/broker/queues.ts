import { randomBytes } from 'node:crypto';
import type { TopologyChange } from '../engine/engine.ts';
import { EngineError } from '../engine/errors.ts';
import type { FieldTable } from '../format/field-table.ts';
import { requireArgumentRoom } from './argument-bytes.ts';
import { BrokerError } from './broker-error.ts';
import type { ConnectionScope } from './connection-scope.ts';
import { brokerError, type BrokerContext } from './context.ts';
import { requireEqual, requireEqualArguments } from './equivalence.ts';
import { oneLine } from './exchanges.ts';
import { requirePermission } from './permission.ts';
import { Queue, type QueueTraits } from './queue.ts';
import { QueueExpiry } from './queue-expiry.ts';
import { comparedQueueArguments, effectiveQueueSettings, type EffectiveQueueSettings } from './queue-settings.ts';
import { resourceName } from './resource-name.ts';
import { requireStreamTraits } from './stream/stream-arguments.ts';
import { queueKey } from './topology-entry.ts';
import type { TopologyGraph } from './topology-graph.ts';
import type { Actor, QueueDeclaration, QueueStatus } from './vhost.ts';

/** Declares, deletes and purges the queues of one vhost. */
export class Queues {
  readonly #graph: TopologyGraph;
  readonly #context: BrokerContext;

  constructor(graph: TopologyGraph, context: BrokerContext) {
    this.#graph = graph;
    this.#context = context;
  }

  restore(traits: QueueTraits): void {
    const resource = resourceName('queue', traits.name, traits.vhost);
    const queue = this.#newQueue(traits, effectiveQueueSettings(traits.arguments, resource), null);
    queue.handle = this.#context.engine.queue(queue.key) ?? null;
    this.#graph.addQueue(queue, []);
  }

  /** It is there when this returns, and durable when the promise resolves. @throws BrokerError at once where it is refused */
  declare(actor: Actor, declaration: QueueDeclaration): Promise<QueueStatus> {
    const { vhost } = this.#graph;
    const given = oneLine(declaration.name);
    const name = given === '' ? generatedName() : given;
    if (given.startsWith('amq.')) {
      throw new BrokerError('ACCESS_REFUSED', `queue name '${name}' contains reserved prefix 'amq.*'`);
    }
    requirePermission(actor.principal, vhost, 'configure', 'queue', name);
    const known = this.#graph.queues.get(name);
    if (known !== undefined) {
      requireEquivalent(known, actor.connection, declaration);
      known.expiry?.touch();
      return known.created === null ? this.#status(known) : known.created.then(() => this.#status(known));
    }
    const traits: QueueTraits = {
      name,
      vhost,
      // An exclusive queue goes with its connection, and so with the broker: it is transient whatever was asked for.
      durable: declaration.durable && !declaration.exclusive,
      autoDelete: declaration.autoDelete,
      arguments: declaration.arguments,
    };
    const resource = resourceName('queue', name, vhost);
    const settings = effectiveQueueSettings(traits.arguments, resource);
    if (settings.type === 'quorum') requireQuorumTraits(declaration, resource);
    if (settings.type === 'stream') {
      if (given === '') throw notServerNamed(settings.type);
      requireStreamTraits(declaration, resource);
    }
    if (settings.deadLetterExchange !== null) {
      requirePermission(actor.principal, vhost, 'read', 'queue', name);
      requirePermission(actor.principal, vhost, 'write', 'exchange', settings.deadLetterExchange);
    }
    this.#requireRoom(name, traits.arguments);
    const queue = this.#newQueue(traits, settings, declaration.exclusive ? actor.connection : null);
    queue.created = this.#create(queue);
    return queue.created.then(() => ({ name, messageCount: 0, consumerCount: 0 }));
  }

  check(actor: Actor, name: string): Promise<QueueStatus> {
    const queue = this.require(name);
    queue.requireAccess(actor.connection);
    queue.expiry?.touch();
    return this.#status(queue);
  }

  /** Resolves with the count of messages deleted; a queue that is not there is no error. */
  async delete(
    actor: Actor,
    name: string,
    options: { readonly ifUnused: boolean; readonly ifEmpty: boolean },
  ): Promise<number> {
    requirePermission(actor.principal, this.#graph.vhost, 'configure', 'queue', oneLine(name));
    const queue = this.#graph.queues.get(oneLine(name));
    if (queue === undefined) return 0;
    queue.requireAccess(actor.connection);
    if (options.ifUnused && queue.consumerCount > 0) throw inUse(queue);
    await queue.created;
    return options.ifUnused || options.ifEmpty ? this.#dropIf(queue, options) : this.drop([queue]);
  }

  async purge(actor: Actor, name: string): Promise<number> {
    requirePermission(actor.principal, this.#graph.vhost, 'read', 'queue', oneLine(name));
    const queue = this.require(name);
    queue.requireAccess(actor.connection);
    await queue.created;
    if (queue.handle === null || queue.deleted) return 0;
    if (queue.settings.type === 'stream') {
      throw new BrokerError('NOT_IMPLEMENTED', `queue.purge not supported by stream queues ${queue.resource}`);
    }
    const stopped = queue.stopped();
    if (stopped !== null) throw stopped;
    return this.#context.engine.purge(queue.handle);
  }

  /** Deletes queues, whoever asks: as one change. Resolves with the count of ready messages that went with them. */
  async drop(queues: Iterable<Queue>): Promise<number> {
    const changes: TopologyChange[] = [];
    for (const queue of queues) this.#remove(queue, changes);
    return this.#change(changes);
  }

  /**
   * The engine decides whether the queue is unused and empty, so it has to go there first, and here after. Meanwhile messages
   * still find it, and are refused if it is gone.
   */
  async #dropIf(queue: Queue, options: { readonly ifUnused: boolean; readonly ifEmpty: boolean }): Promise<number> {
    const { ifUnused, ifEmpty } = options;
    let removed = 0;
    try {
      ({ removed } = await this.#context.engine.change([{ op: 'delete-queue', key: queue.key, ifUnused, ifEmpty }]));
    } catch (error) {
      if (error instanceof EngineError && error.code === 'IN_USE') throw inUse(queue);
      if (error instanceof EngineError && error.code === 'NOT_EMPTY') {
        throw new BrokerError('PRECONDITION_FAILED', `${queue.resource} not empty`);
      }
      throw brokerError(error, queue.resource);
    }
    const changes: TopologyChange[] = [];
    this.#remove(queue, changes);
    await this.#change(changes.filter((change) => change.op !== 'delete-queue' || change.key !== queue.key));
    return removed;
  }

  /** Adds to `changes` what makes every queue go. */
  removeAll(changes: TopologyChange[]): void {
    for (const queue of Array.from(this.#graph.queues.values())) this.#remove(queue, changes);
  }

  #remove(queue: Queue, changes: TopologyChange[]): void {
    queue.expiry?.stop();
    queue.owner?.exclusiveQueues.delete(queue);
    this.#graph.removeQueue(queue, changes);
  }

  async #change(changes: readonly TopologyChange[]): Promise<number> {
    if (changes.length === 0) return 0;
    try {
      const { removed } = await this.#context.engine.change(changes);
      return removed;
    } catch (error) {
      throw brokerError(error, 'deleting a queue');
    }
  }

  /** @throws BrokerError NOT_FOUND */
  require(name: string): Queue {
    const queue = this.#graph.queues.get(oneLine(name));
    if (queue !== undefined) return queue;
    throw new BrokerError('NOT_FOUND', `no ${resourceName('queue', oneLine(name), this.#graph.vhost)}`);
  }

  /** Called when a consumer has gone. */
  async consumerGone(queue: Queue): Promise<void> {
    queue.expiry?.touch();
    if (!queue.traits.autoDelete || queue.consumerCount > 0 || queue.deleted) return;
    const { lettersUnderWay, log } = this.#context;
    if (queue.handle === null || !lettersUnderWay.has(queue.handle)) {
      await this.drop([queue]);
      return;
    }
    lettersUnderWay.whenNone(queue.handle, () => {
      this.consumerGone(queue).catch((error: unknown) => log(`could not delete ${queue.resource}: ${String(error)}`));
    });
  }

  /** @throws BrokerError PRECONDITION_FAILED, in RabbitMQ's words */
  #requireRoom(name: string, given: FieldTable): void {
    const { maxQueues, maxArgumentBytes } = this.#context.settings;
    const { queues, vhost } = this.#graph;
    if (queues.size < maxQueues) {
      requireArgumentRoom(this.#graph, given, maxArgumentBytes, `declare queue '${name}'`);
      return;
    }
    const text = `cannot declare queue '${name}': queue limit in vhost '${vhost}' (${maxQueues}) is reached`;
    throw new BrokerError('PRECONDITION_FAILED', text);
  }

  #newQueue(traits: QueueTraits, settings: EffectiveQueueSettings, owner: ConnectionScope | null): Queue {
    const queue = new Queue(queueKey(traits.vhost, traits.name), traits, settings, owner);
    if (settings.expiresMs !== null) {
      const { clock, lettersUnderWay, log } = this.#context;
      queue.expiry = new QueueExpiry(clock, settings.expiresMs, {
        isUsed: () => queue.consumerCount > 0 || (queue.handle !== null && lettersUnderWay.has(queue.handle)),
        expire: () => {
          if (queue.deleted) return;
          this.drop([queue]).catch((error: unknown) => log(`could not expire ${queue.resource}: ${String(error)}`));
        },
      });
    }
    return queue;
  }

  async #create(queue: Queue): Promise<void> {
    const { engine } = this.#context;
    const changes: TopologyChange[] = [];
    this.#graph.addQueue(queue, changes);
    queue.owner?.exclusiveQueues.add(queue);
    try {
      const durable = engine.change(changes);
      // The local engine has made it already, so that it is never seen without a handle.
      queue.handle = engine.queue(queue.key) ?? null;
      await durable;
      queue.handle ??= engine.queue(queue.key) ?? null;
      this.#graph.touchQueue(queue);
    } catch (error) {
      queue.expiry?.stop();
      queue.owner?.exclusiveQueues.delete(queue);
      this.#graph.removeQueue(queue, []);
      throw brokerError(error, queue.resource);
    } finally {
      queue.created = null;
    }
  }

  async #status(queue: Queue): Promise<QueueStatus> {
    if (queue.handle === null) return { name: queue.name, messageCount: 0, consumerCount: queue.consumerCount };
    const { ready } = await this.#context.engine.stats(queue.handle);
    return { name: queue.name, messageCount: ready, consumerCount: queue.consumerCount };
  }
}

function inUse(queue: Queue): BrokerError {
  return new BrokerError('PRECONDITION_FAILED', `${queue.resource} in use`);
}

function notServerNamed(type: string): BrokerError {
  return new BrokerError('PRECONDITION_FAILED', `Cannot declare a server-named queue for type rabbit_${type}_queue`);
}

function generatedName(): string {
  return `amq.gen-${randomBytes(16).toString('base64url')}`;
}

/** @throws BrokerError */
function requireEquivalent(queue: Queue, connection: ConnectionScope, declaration: QueueDeclaration): void {
  if (declaration.exclusive ? queue.owner !== connection : queue.owner !== null) throw queue.locked();
  const durable = declaration.durable && !declaration.exclusive;
  requireEqual('durable', queue.resource, queue.traits.durable, durable);
  requireEqual('auto_delete', queue.resource, queue.traits.autoDelete, declaration.autoDelete);
  requireEqualArguments(comparedQueueArguments, queue.resource, queue.traits.arguments, declaration.arguments);
  // 'classic' is what a queue is that names no type.
  const type = declaration.arguments['x-queue-type'] ?? 'classic';
  if (type !== queue.settings.type) {
    requireEqualArguments(['x-queue-type'], queue.resource, queue.traits.arguments, declaration.arguments);
  }
}

/** A quorum queue here is what it is on a cluster of one: durable, with a count of deliveries. */
function requireQuorumTraits(declaration: QueueDeclaration, resource: string): void {
  const wrong = !declaration.durable
    ? 'non-durable'
    : declaration.exclusive
      ? 'exclusive-owner'
      : declaration.autoDelete
        ? 'auto-delete'
        : null;
  if (wrong !== null) throw new BrokerError('PRECONDITION_FAILED', `invalid property '${wrong}' for ${resource}`);
}
