import { type Clock, systemClock } from '../engine/clock.ts';
import type { Batch, Engine, EngineListener, Lease, Topology, TopologyChange } from '../engine/engine.ts';
import type { EngineError } from '../engine/errors.ts';
import { type BrokerSettings, brokerSettings } from './broker-settings.ts';
import type { BrokerContext } from './context.ts';
import { DeadLetters } from './dead-letter/dead-letters.ts';
import { LettersUnderWay } from './dead-letter/letters-under-way.ts';
import { HeldMessages } from './delayed/held-messages.ts';
import { Pressure } from './pressure.ts';
import { guest, type Principal } from './principal.ts';
import { whatIsDamaged } from './queue.ts';
import { resourceName } from './resource-name.ts';
import type { Session } from './session.ts';
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

/** The heart of the server: vhosts over one engine. */
export class Broker {
  readonly engine: Engine;
  readonly pressure: Pressure;
  /** Broker's own. */
  readonly context: BrokerContext;
  /** Messages that leave their queue for its dead-letter exchange. */
  readonly deadLetters: DeadLetters;
  /** Broker's own: whose each lease is. */
  readonly leases = new Map<Lease, Session>();
  readonly #vhosts = new Map<string, Vhost>();
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
    this.pressure = new Pressure(this.context.clock, this.context.settings);
    this.deadLetters = new DeadLetters(this.context, this.#vhosts);
  }

  /** Opens the engine and restores the topology. @throws EngineError */
  async open(): Promise<void> {
    const topology = await this.engine.open(this.#listener());
    const orphans = this.#restore(topology);
    if (orphans.length > 0) await this.engine.change(orphans);
    if (!this.#vhosts.has(defaultVhost)) {
      await this.engine.change([{ op: 'put', entry: vhostEntry(defaultVhost) }]);
      this.#vhosts.set(defaultVhost, new Vhost(defaultVhost, this.context));
    }
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

  /** Null: refused. */
  authenticate(user: string, password: string, peer: { readonly loopback: boolean }): Principal | null {
    return user === 'guest' && password === 'guest' && peer.loopback ? guest : null;
  }

  /** Begins a batch; it must be committed within this turn. */
  begin(atomic?: 'required' | 'idempotent'): Batch {
    return this.engine.begin(atomic);
  }

  /** The engine failed: nothing more will be confirmed. Told at once where that has happened already. */
  onFailed(listener: (error: EngineError) => void): void {
    this.#failureListeners.push(listener);
    if (this.#failure !== null) listener(this.#failure);
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
      // Made again with its exchange.
      if (readQueueKey(spec.key).holds) continue;
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
        const { vhost, name, holds } = readQueueKey(queue.key);
        this.context.log(`${resourceName(holds ? 'exchange' : 'queue', name, vhost)} stopped: ${whatIsDamaged(error)}`);
      },
      leaseLost: (lease) => this.leases.get(lease)?.leaseLost(),
      notice: (line) => this.context.log(line),
    };
  }
}
