/**
 * The same random operations on an engine and on the model, step by step: outcomes, deliveries, counts and what a browser sees must be
 * the same. Everything is drawn from the seed, which the failure names.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { QueueLimits, Settlement } from '../../src/engine/engine.ts';
import { type Delivery, Fixture, type MessageSpec, type Opened, turn } from './fixture.ts';
import { openModel } from './open-model.ts';

export interface RandomOptions {
  /** Opens an empty store; its time begins at the same moment each time, and only `advance` moves it. */
  open(): Promise<Opened>;
  readonly seeds: readonly number[];
  readonly steps: number;
}

const kinds: readonly QueueLimits[] = [
  {},
  { maxPriority: 3 },
  { maxLength: 12 },
  { maxLength: 10, overflow: 'reject' },
  { maxBytes: 300, overflow: 'reject' },
  { deliveryLimit: 2 },
  { messageTtlMs: 400 },
  { groupBy: 'key' },
  { groupBy: 'key', deliveryLimit: 2 },
  { groupBy: 'key', maxPriority: 2, maxLength: 15 },
  { groupBy: 'key', messageTtlMs: 400 },
];
const keys = kinds.map((_, at) => `q${at}`);
const settlements: readonly Settlement[] = ['ack', 'drop', 'requeue'];

/** One engine under the steps; two of them get the same. */
class Player {
  readonly fixture: Fixture;
  leases: ReturnType<Fixture['engine']['lease']>[] = [];
  held: Delivery[][] = [];

  constructor(fixture: Fixture) {
    this.fixture = fixture;
    this.forget();
  }

  forget(): void {
    this.leases = [0, 1, 2].map(() => this.fixture.engine.lease());
    this.held = [[], [], []];
  }

  async look(key: string): Promise<unknown> {
    const queue = this.fixture.queue(key);
    const { ready, unacked, readyBytes, delayed } = await this.fixture.stats(queue);
    const browsed = await this.fixture.browse(queue);
    return {
      key,
      ready,
      unacked,
      readyBytes,
      delayed,
      browsed: browsed.map((one) => [one.body.toString(), one.redelivered]),
    };
  }
}

type Step = (player: Player) => Promise<unknown>;

/** Draws one step; it must not draw anything while it runs, so that it is the same for both. */
function drawStep(
  random: (below: number) => number,
  now: () => number,
  canReopen: boolean,
  serial: () => number,
): Step {
  const key = keys[random(keys.length)]!;
  const holder = random(3);
  const kind = random(100);
  if (kind < 35) {
    const some = keys.filter(() => random(4) === 0);
    const targets = some.length === 0 ? [key] : some;
    const specs = Array.from({ length: 1 + random(4) }, (): MessageSpec => ({
      properties: Buffer.from(['none', 'k1', 'k2', 'k3'][random(4)]!),
      body: `${serial()}${'.'.repeat(random(60))}`,
      priority: random(6),
      expiresAt: random(8) === 0 ? now() + 50 + random(500) : 0,
      dueAt: random(10) === 0 ? now() + random(600) : 0,
    }));
    return ({ fixture }) =>
      fixture.publish(
        targets.map((one) => fixture.queue(one)),
        ...specs,
      );
  }
  if (kind < 62) {
    const noAck = random(6) === 0;
    return async ({ fixture, leases, held }) => {
      const delivery = await fixture.take(fixture.queue(key), leases[holder]!, noAck);
      if (delivery !== null && !noAck) held[holder]!.push(delivery);
      return delivery && [delivery.text, delivery.redelivered, delivery.deliveryCount, delivery.priority];
    };
  }
  if (kind < 86) {
    const picks = Array.from({ length: 1 + random(3) }, () => [random(1_000), settlements[random(3)]!] as const);
    const atomic = random(3) === 0;
    const wrongHolder = random(10) === 0;
    return async ({ fixture, leases, held }) => {
      const mine = held[holder]!;
      const chosen = picks.map(
        ([at, settlement]) => [mine.length === 0 ? undefined : mine[at % mine.length], settlement] as const,
      );
      const outcomes = await fixture.commit(
        (batch) => {
          for (const [delivery, settlement] of chosen) {
            if (delivery === undefined) continue;
            batch.settle(
              leases[wrongHolder ? (holder + 1) % 3 : holder]!,
              fixture.queue(delivery.queue.key),
              delivery.number,
              1,
              settlement,
            );
          }
        },
        atomic ? 'required' : undefined,
      );
      const nothing = wrongHolder || (atomic && outcomes.length > 0);
      if (!nothing) held[holder] = mine.filter((one) => !chosen.some(([delivery]) => delivery === one));
      return outcomes;
    };
  }
  if (kind < 90) {
    return async (player) => {
      await player.fixture.release(player.leases[holder]!);
      player.leases[holder] = player.fixture.engine.lease();
      player.held[holder] = [];
    };
  }
  if (kind < 92) return ({ fixture }) => fixture.engine.purge(fixture.queue(key));
  if (kind < 97 || !canReopen) {
    const ms = 1 + random(200);
    return async ({ fixture }) => fixture.advance(ms);
  }
  return async (player) => {
    await player.fixture.reopen();
    player.forget();
  };
}

function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** An engine may have to read before it can judge what is at a head: it has a moment. */
async function expectSame([model, engine]: readonly [Player, Player], key: string, when: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  const expected = await model.look(key);
  for (;;) {
    const actual = await engine.look(key);
    if (isDeepStrictEqual(actual, expected)) return;
    if (Date.now() > deadline) assert.deepEqual(actual, expected, when);
    await turn();
  }
}

async function play(seed: number, steps: number, open: () => Promise<Opened>): Promise<void> {
  const random = seeded(seed);
  const players = [
    new Player(await Fixture.open(await openModel())),
    new Player(await Fixture.open(await open())),
  ] as const;
  const [model, engine] = players;
  let messages = 0;
  try {
    for (const { fixture } of players) {
      await fixture.change(
        ...kinds.map((limits, at) => ({
          op: 'put-queue' as const,
          queue: { key: keys[at]!, durable: true, limits, value: null },
        })),
      );
    }
    for (let at = 0; at < steps; at++) {
      const step = drawStep(
        random,
        () => model.fixture.now(),
        engine.fixture.canReopen,
        () => ++messages,
      );
      const expected = await step(model);
      assert.deepEqual(await step(engine), expected, `seed ${seed}, step ${at}`);
      for (const { fixture } of players) await fixture.quiet();
      // At each step: what an engine still reads, to judge what has expired, counts for its limits until then.
      for (const key of keys) await expectSame(players, key, `seed ${seed}, after step ${at}`);
    }
    for (const key of keys) {
      const drained = await Promise.all(players.map(({ fixture }) => fixture.drainTexts(fixture.queue(key))));
      assert.deepEqual(drained[1], drained[0], `seed ${seed}, ${key} at the end`);
    }
  } finally {
    for (const { fixture } of players) await fixture.dispose();
  }
}

export function runRandomConformance(name: string, { open, seeds, steps }: RandomOptions): void {
  describe(`engine ${name} beside the model`, () => {
    for (const seed of seeds) it(`seed ${seed}`, { timeout: 300_000 }, () => play(seed, steps, open));
  });
}
