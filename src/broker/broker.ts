import type { Peer } from './access/logins.ts';
import { noVhost, requireName, Users, type UserListener } from './access/users.ts';
import { type Clock, systemClock } from '../engine/clock.ts';
import type { Batch, Engine, EngineListener, Lease, Topology, TopologyChange } from '../engine/engine.ts';
import type { EngineError } from '../engine/errors.ts';
import { BrokerError } from './broker-error.ts';
import { type BrokerSettings, brokerSettings } from './broker-settings.ts';
import type { BrokerContext } from './context.ts';
import { DeadLetters } from './dead-letter/dead-letters.ts';
import { LettersUnderWay } from './dead-letter/letters-under-way.ts';
import { groupKeys } from './group-keys.ts';
import { HeldMessages } from './delayed/held-messages.ts';
import { Pressure } from './pressure.ts';
import type { Principal } from './principal.ts';
import { whatIsDamaged } from './queue.ts';
import { resourceName } from './resource-name.ts';
import type { Session } from './session.ts';
import { KeyedWrites } from './subscription/keyed-writes.ts';
import { mailboxText } from './subscription/mailbox.ts';
import { restoreSubscribers } from './subscription/restore.ts';
import { restoreRetained, retainedPrefix } from './subscription/retained-messages.ts';
import { subscriberPrefix, subscriptionPrefix } from './subscription/subscription-state.ts';
import { TransactionBudget } from './transaction/transaction-budget.ts';
import { entryKind, readBinding, readExchange, readQueue, readQueueKey, vhostEntry } from './topology-entry.ts';
import { Vhost } from './vhost.ts';

export interface BrokerOptions {
  readonly engine: Engine;
  readonly settings?: Partial<BrokerSettings>;
  readonly clock?: Clock;
  /** One line for an operator. */
  readonly log?: (line: string) => void;
}

const defaultVhost = '/';

/** Is told what changes for those that are connected. */
export interface AccessListener extends UserListener {
  vhostDeleted(vhost: Vhost): void;
}

/** The heart of the server: vhosts over one engine. */
export class Broker {
  readonly engine: Engine;
  readonly pressure: Pressure;
  /** Broker's own. */
  readonly context: BrokerContext;
  /** Messages that leave their queue for its dead-letter exchange. */
  readonly deadLetters: DeadLetters;
  readonly users: Users;
  /** Broker's own: whose each lease is. */
  readonly leases = new Map<Lease, Session>();
  readonly #vhosts = new Map<string, Vhost>();
  readonly #accessListeners = new Set<AccessListener>();
  readonly #failureListeners: ((error: EngineError) => void)[] = [];
  #failure: EngineError | null = null;

  constructor(options: BrokerOptions) {
    this.engine = options.engine;
    const settings = brokerSettings(options.settings);
    this.context = {
      engine: options.engine,
      clock: options.clock ?? systemClock,
      settings,
      transactions: new TransactionBudget(settings.maxTransactionBytesOfAll),
      lettersUnderWay: new LettersUnderWay(),
      held: new HeldMessages(),
      log: options.log ?? (() => undefined),
    };
    this.users = new Users(options.engine, this.context.log, {
      userDeleted: (user) => {
        for (const vhost of this.#vhosts.values()) {
          vhost.forgetWriter(user);
          vhost.subscribers
            .removeUser(user.user)
            .catch((error: unknown) => this.context.log(`could not end sessions of '${user.user}': ${String(error)}`));
        }
        for (const listener of this.#accessListeners) listener.userDeleted(user);
      },
      permissionsChanged: (user, vhost) => {
        this.#vhosts.get(vhost)?.permissionsChanged();
        for (const listener of this.#accessListeners) listener.permissionsChanged(user, vhost);
      },
    });
    this.pressure = new Pressure(this.context.clock, this.context.settings);
    this.deadLetters = new DeadLetters(this.context, this.#vhosts);
  }

  /** Opens the engine and restores the topology. @throws EngineError */
  async open(): Promise<void> {
    this.engine.useGroupKeys(groupKeys);
    const topology = await this.engine.open(this.#listener());
    const changes = this.#restore(topology);
    if (!this.#vhosts.has(defaultVhost)) {
      changes.push({ op: 'put', entry: vhostEntry(defaultVhost) });
      this.#vhosts.set(defaultVhost, new Vhost(defaultVhost, this.context));
    }
    for (const { exchanges } of this.#vhosts.values()) exchanges.ensure(this.#topicExchange, 'topic', changes);
    changes.push(...this.users.restore(topology, defaultVhost));
    const forgotten = await this.#restoreSubscribers(topology, changes);
    if (changes.length > 0) await this.engine.change(changes);
    await forgotten();
    this.deadLetters.start();
    this.context.held.start(this.context);
    this.pressure.start();
  }

  /** Servers and their sessions are closed before. */
  async close(): Promise<void> {
    this.pressure.stop();
    this.deadLetters.stop();
    this.context.held.stop();
    for (const vhost of this.#vhosts.values()) vhost.close();
    await this.engine.close();
  }

  vhost(name: string): Vhost | undefined {
    return this.#vhosts.get(name);
  }

  get vhosts(): IterableIterator<Vhost> {
    return this.#vhosts.values();
  }

  /** @throws BrokerError NOT_FOUND */
  requireVhost(name: string): Vhost {
    const vhost = this.#vhosts.get(name);
    if (vhost === undefined) throw noVhost(name);
    return vhost;
  }

  /** @throws BrokerError PRECONDITION_FAILED */
  async createVhost(name: string): Promise<void> {
    requireName('vhost', name);
    if (this.#vhosts.has(name)) throw new BrokerError('PRECONDITION_FAILED', `vhost '${name}' exists already`);
    const vhost = new Vhost(name, this.context);
    this.#vhosts.set(name, vhost);
    const changes: TopologyChange[] = [{ op: 'put', entry: vhostEntry(name) }];
    vhost.exchanges.ensure(this.#topicExchange, 'topic', changes);
    await this.engine.change(changes);
  }

  /** With its queues, their messages, its exchanges, and what anybody was permitted there. Its connections are closed. @throws BrokerError NOT_FOUND, PRECONDITION_FAILED */
  async deleteVhost(name: string): Promise<void> {
    if (name === defaultVhost) {
      throw new BrokerError('PRECONDITION_FAILED', `vhost '${name}' is the default one, which can't be deleted`);
    }
    await this.users.forgetVhost(name, async (changes) => {
      const vhost = this.#vhosts.get(name);
      if (vhost === undefined) throw noVhost(name);
      this.#vhosts.delete(name);
      for (const listener of this.#accessListeners) listener.vhostDeleted(vhost);
      vhost.delete(changes);
      await this.engine.change([...changes, { op: 'delete', kind: entryKind.vhost, key: name }]);
    });
  }

  /** Null: refused. At once where the password was right before. */
  authenticate(
    user: string,
    password: string,
    peer: Peer & { readonly loopback: boolean },
  ): Principal | null | Promise<Principal | null> {
    return this.users.authenticate(user, password, peer);
  }

  /** Answers what ends it. */
  onAccessChanged(listener: AccessListener): () => void {
    this.#accessListeners.add(listener);
    return () => this.#accessListeners.delete(listener);
  }

  /** Begins a batch; it must be committed within this turn. `tellsWaiting`, `waitsForSettled`: as `Engine.begin`. */
  begin(atomic?: 'required' | 'idempotent', tellsWaiting?: boolean, waitsForSettled?: boolean): Batch {
    return this.engine.begin(atomic, tellsWaiting, waitsForSettled);
  }

  /** The engine failed: nothing more will be confirmed. Told at once where that has happened already. */
  onFailed(listener: (error: EngineError) => void): void {
    this.#failureListeners.push(listener);
    if (this.#failure !== null) listener(this.#failure);
  }

  get #topicExchange(): string {
    return this.context.settings.mqttExchange;
  }

  /** Answers what makes bindings go that a crash left without one of their ends. */
  #restore(topology: Topology): TopologyChange[] {
    const orphans: TopologyChange[] = [];
    const of = (kind: string) => topology.entries.filter((entry) => entry.kind === kind);
    for (const entry of of(entryKind.vhost)) this.#vhosts.set(entry.key, new Vhost(entry.key, this.context));
    for (const entry of of(entryKind.exchange)) {
      const traits = readExchange(entry.value);
      this.#vhosts.get(traits.vhost)?.exchanges.restore(traits);
    }
    for (const spec of topology.queues) {
      // Made again with its exchange, or its subscriber.
      const { owned, mailbox } = readQueueKey(spec.key);
      if (owned || mailbox) continue;
      const traits = readQueue(spec.value);
      this.#vhosts.get(traits.vhost)?.queues.restore(traits);
    }
    for (const entry of of(entryKind.binding)) {
      const record = readBinding(entry.value);
      const restored = this.#vhosts.get(record.vhost)?.restoreBinding(record) ?? false;
      if (!restored) orphans.push({ op: 'delete', kind: entry.kind, key: entry.key });
    }
    return orphans;
  }

  /** Adds to `changes` what has to go. Answers what makes the rest go that a crash left. */
  async #restoreSubscribers({ queues }: Topology, changes: TopologyChange[]): Promise<() => Promise<void>> {
    const subscribers = await this.engine.state(subscriberPrefix);
    const subscriptions = await this.engine.state(subscriptionPrefix);
    const orphans = restoreSubscribers(this.#vhosts, { subscribers, subscriptions, queues });
    changes.push(...orphans.changes);
    const retained = await this.engine.state(retainedPrefix);
    const keys = [...orphans.keys, ...restoreRetained(this.#vhosts, retained, this.context.log)];
    const writes = new KeyedWrites(this.engine);
    return async () => {
      await Promise.all(keys.map((key) => writes.put(key, null)));
      // Its user went, and the process before it did.
      for (const { subscribers: restored } of this.#vhosts.values()) {
        const users = new Set(Array.from(restored, ({ user }) => user));
        for (const user of users) if (this.users.get(user) === undefined) await restored.removeUser(user);
      }
    };
  }

  #listener(): EngineListener {
    return {
      failed: (error) => {
        this.#failure = error;
        for (const listener of this.#failureListeners) listener(error);
      },
      blocked: (reason) => {
        if (reason === 'disk') this.pressure.setDisk(true);
        else this.pressure.setUnreachable(true);
      },
      unblocked: () => {
        this.pressure.setDisk(false);
        this.pressure.setUnreachable(false);
      },
      behind: () => this.pressure.setBehind(true),
      caughtUp: () => this.pressure.setBehind(false),
      damaged: (queue, error) => {
        const { vhost, name, owned, mailbox } = readQueueKey(queue.key);
        const what = mailbox
          ? `${mailboxText(name)} in vhost '${vhost}'`
          : resourceName(owned ? 'exchange' : 'queue', name, vhost);
        this.context.log(`${what} stopped: ${whatIsDamaged(error)}`);
        // It takes nothing more, and must not keep what others subscribe to from them.
        if (mailbox) this.#vhosts.get(vhost)?.graph.touchSubscriptions(null);
      },
      leaseLost: (lease) => this.leases.get(lease)?.leaseLost(),
      notice: (line) => this.context.log(line),
    };
  }
}
