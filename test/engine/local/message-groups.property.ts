/** Drives a grouped queue by random calls, and judges each delivery and each rest by what message groups promise. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { EngineConsumer, Lease, QueueLimits, Settlement } from '../../../src/engine/engine.ts';
import { Collector, type Delivery, Fixture, type Opened, until } from '../../conformance/fixture.ts';

export type Command =
  | { readonly kind: 'publish'; readonly keys: readonly string[]; readonly priority: number }
  | { readonly kind: 'consume'; readonly credit: number; readonly noAck: boolean; readonly priority: number }
  | { readonly kind: 'credit'; readonly who: number; readonly count: number }
  | { readonly kind: 'settle'; readonly picks: readonly number[]; readonly settlement: Settlement }
  | { readonly kind: 'cancel' | 'die' | 'take'; readonly who: number }
  | { readonly kind: 'reopen' | 'crash' };

const settlement = fc.constantFrom<Settlement>('ack', 'ack', 'ack', 'requeue', 'drop');
const who = fc.nat(9);

export const commands = (across: readonly ('reopen' | 'crash')[]): fc.Arbitrary<Command[]> =>
  fc.array(
    fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          kind: fc.constant('publish' as const),
          keys: fc.array(fc.constantFrom('a', 'b', 'c', 'd', '-'), { minLength: 1, maxLength: 12 }),
          priority: fc.nat(2),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant('consume' as const),
          credit: fc.constantFrom(0, 1, 2, 3, 10),
          noAck: fc.constantFrom(false, false, false, true),
          priority: fc.constantFrom(0, 0, 1),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant('credit' as const), who, count: fc.integer({ min: 1, max: 5 }) }),
      },
      {
        weight: 8,
        arbitrary: fc.record({
          kind: fc.constant('settle' as const),
          picks: fc.array(fc.nat(99), { minLength: 1, maxLength: 6 }),
          settlement,
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constantFrom('cancel' as const, 'die' as const, 'take' as const), who }),
      },
      ...across.map((kind) => ({ weight: 1, arbitrary: fc.constant({ kind }) })),
    ),
    { maxLength: 60, size: 'max' },
  );

interface Message {
  readonly text: string;
  readonly key: string;
  readonly level: number;
  /** In the order of the appends. */
  readonly at: number;
  state: 'ready' | 'held' | 'gone';
  owner: Member | null;
  delivery: Delivery | null;
}

/** A consumer, or a lease that takes. */
interface Member {
  readonly lease: Lease;
  readonly noAck: boolean;
  readonly takes: boolean;
  consumer: EngineConsumer | null;
  credit: number;
}

export class GroupWorld {
  readonly #fixture: Fixture;
  readonly #levels: number;
  readonly #messages = new Map<string, Message>();
  readonly #members: Member[] = [];
  readonly #draining = new Set<string>();
  readonly #takers: Member[];
  #published = 0;
  #wrong: Error | null = null;

  private constructor(fixture: Fixture, limits: QueueLimits) {
    this.#fixture = fixture;
    this.#levels = (limits.maxPriority ?? 0) + 1;
    this.#takers = this.#newTakers();
  }

  static async play(opened: Opened, limits: QueueLimits, commands: readonly Command[]): Promise<void> {
    const fixture = await Fixture.open(opened);
    try {
      await fixture.declare({ ...limits, groupBy: 'key' }, { key: 'q' });
      const world = new GroupWorld(fixture, limits);
      for (const command of commands) {
        await world.#do(command);
        await fixture.quiet();
        await world.#judgeRest();
      }
      await world.#finish();
    } finally {
      await fixture.dispose();
    }
  }

  async #do(command: Command): Promise<void> {
    const fixture = this.#fixture;
    const queue = fixture.queue('q');
    switch (command.kind) {
      case 'publish':
        await fixture.fill(queue, ...command.keys.map((key) => this.#publish(key, command.priority)));
        return;
      case 'consume': {
        const { credit, noAck, priority } = command;
        const lease = fixture.engine.lease();
        await this.#consume(lease, credit, noAck, priority);
        return;
      }
      case 'credit': {
        const member = this.#pick(command.who);
        if (member === undefined) return;
        member.credit += command.count;
        member.consumer!.addCredit(command.count);
        return;
      }
      case 'settle':
        for (const pick of command.picks) await this.#settle(pick, command.settlement);
        return;
      case 'cancel': {
        const member = this.#pick(command.who);
        if (member === undefined) return;
        this.#members.splice(this.#members.indexOf(member), 1);
        member.consumer!.cancel();
        return;
      }
      case 'die': {
        const member = this.#pick(command.who);
        if (member === undefined) return;
        this.#members.splice(this.#members.indexOf(member), 1);
        this.#comeBack((message) => message.owner === member);
        await fixture.release(member.lease);
        return;
      }
      case 'take': {
        const member = this.#takers[command.who % this.#takers.length]!;
        const deliveries = [...this.#messages.values()];
        const free = deliveries.some((message) => this.#isFor(message, member));
        const delivery = await fixture.take(queue, member.lease);
        assert.equal(delivery !== null, free, 'a single message is taken if there is one');
        if (delivery !== null) this.#deliver(delivery, member);
        return;
      }
      default:
        await fixture.quiet();
        this.#members.length = 0;
        this.#takers.splice(0, Infinity);
        this.#comeBack(() => true);
        await fixture[command.kind]();
        this.#takers.push(...this.#newTakers());
    }
  }

  async #consume(lease: Lease, credit: number, noAck: boolean, priority: number): Promise<void> {
    const sink = new Collector(this.#fixture);
    const member: Member = { lease, noAck, takes: false, consumer: null, credit };
    this.#members.push(member);
    sink.onDeliver = (delivery) => {
      // What a sink throws would end the process.
      try {
        this.#deliver(delivery, member);
      } catch (error) {
        this.#wrong ??= error as Error;
      }
      return true;
    };
    const queue = this.#fixture.queue('q');
    const { consumer } = await this.#fixture.consume(queue, { lease, credit, noAck, priority, sink });
    member.consumer = consumer;
  }

  #publish(key: string, priority: number): { body: string; properties: Buffer; priority: number } {
    const at = this.#published++;
    const text = `${key}${at}`;
    const level = Math.min(priority, this.#levels - 1);
    this.#messages.set(text, { text, key, level, at, state: 'ready', owner: null, delivery: null });
    return { body: text, properties: Buffer.from(key === '-' ? 'none' : `k${key}`), priority };
  }

  #deliver(delivery: Delivery, member: Member): void {
    const message = this.#messages.get(delivery.text)!;
    assert.equal(message.state, 'ready', `${message.text} is delivered once at a time, and not after it is settled`);
    assert.ok(this.#mayHave(message, member), `${message.text} goes to one that may have its key`);
    if (!member.takes) {
      assert.ok(member.credit > 0, 'credit is kept to');
      member.credit--;
    }
    if (message.key !== '-') {
      const before = this.#ofKey(message).find((one) => one.state === 'ready' && one.at < message.at);
      assert.equal(before?.text, undefined, `${message.text} goes before what is in front of it`);
    }
    message.state = member.noAck ? 'gone' : 'held';
    message.owner = member;
    message.delivery = delivery;
  }

  async #settle(pick: number, how: Settlement): Promise<void> {
    const held = [...this.#messages.values()].filter(({ state }) => state === 'held');
    const message = held[pick % held.length];
    if (message === undefined) return;
    const { owner, delivery, key } = message;
    if (how === 'requeue') this.#comeBack((one) => one === message);
    else message.state = 'gone';
    if (key !== '-' && this.#holders(key).length === 0) this.#draining.delete(key);
    assert.deepEqual(await this.#fixture.settle(owner!.lease, [delivery!], how), []);
  }

  #comeBack(which: (message: Message) => boolean): void {
    for (const message of this.#messages.values()) {
      if (message.state !== 'held' || !which(message)) continue;
      message.state = 'ready';
      if (message.key === '-') continue;
      if (this.#holders(message.key).length > 0) this.#draining.add(message.key);
      else this.#draining.delete(message.key);
    }
  }

  /** Nobody waits for what he could have, longer than it takes to read and to write. */
  async #judgeRest(): Promise<void> {
    const waiting = (): Message | undefined => {
      const able = this.#members.filter(({ credit }) => credit > 0);
      return [...this.#messages.values()].find((message) => able.some((member) => this.#isFor(message, member)));
    };
    await until('rest', () => this.#wrong !== null || waiting() === undefined).catch(() =>
      assert.fail(`${waiting()?.text} can be had, and is not delivered`),
    );
    await this.#fixture.quiet();
    if (this.#wrong !== null) throw this.#wrong;
  }

  /** With everybody gone, one who takes all gets all, and each key in order. */
  async #finish(): Promise<void> {
    for (const { consumer } of this.#members.splice(0)) consumer!.cancel();
    this.#comeBack(() => true);
    for (const taker of this.#takers) await this.#fixture.release(taker.lease);
    for (const message of this.#messages.values())
      if (message.owner !== null) await this.#fixture.release(message.owner.lease);
    await this.#consume(this.#fixture.engine.lease(), Infinity, false, 0);
    const open = (): Message[] => [...this.#messages.values()].filter(({ state }) => state === 'ready');
    await until('all', () => open().length === 0).catch(() =>
      assert.fail(
        `lost: ${open()
          .map(({ text }) => text)
          .join()}`,
      ),
    );
    for (let left = Infinity; left > 0; left--) {
      left = [...this.#messages.values()].filter(({ state }) => state === 'held').length;
      if (left > 0) await this.#settle(0, 'ack');
    }
    await this.#judgeRest();
    await this.#fixture.untilStats(this.#fixture.queue('q'), { ready: 0, unacked: 0, readyBytes: 0 });
  }

  #isFor(message: Message, member: Member): boolean {
    return message.state === 'ready' && this.#mayHave(message, member);
  }

  #mayHave({ key }: Message, member: Member): boolean {
    if (key === '-') return true;
    const holders = this.#holders(key);
    return holders.length === 0 || (!this.#draining.has(key) && holders.every(({ owner }) => owner === member));
  }

  #holders(key: string): Message[] {
    return [...this.#messages.values()].filter((message) => message.state === 'held' && message.key === key);
  }

  #ofKey({ key, level }: Message): Message[] {
    return [...this.#messages.values()].filter((message) => message.key === key && message.level === level);
  }

  #pick(at: number): Member | undefined {
    return this.#members[at % this.#members.length];
  }

  #newTakers(): Member[] {
    return [0, 1].map(() => ({
      lease: this.#fixture.engine.lease(),
      noAck: false,
      takes: true,
      consumer: null,
      credit: 0,
    }));
  }
}
