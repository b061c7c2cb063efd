/** Counts at which a cost per message, per queue or per unacknowledged delivery would show. */
import assert from 'node:assert/strict';
import type { DeliveryView, Lease, Sink, TopologyChange } from '../../../src/engine/engine.ts';
import type { Check } from '../engine-suite.ts';
import { type Fixture, messageOf, until } from '../fixture.ts';
import { patterned } from './append.ts';

/** Counts, checks order and bytes, and acknowledges every 50th with all before it. */
class CountingSink implements Sink {
  count = 0;
  wrong = 0;
  reported = 0;
  #firstUnsettled = 0;
  readonly #fixture: Fixture;
  readonly #lease: Lease;

  constructor(fixture: Fixture, lease: Lease) {
    this.#fixture = fixture;
    this.#lease = lease;
  }

  deliver(view: DeliveryView): boolean {
    if (view.body.readUInt32BE(view.bodyStart) !== this.count || view.bodyEnd - view.bodyStart !== 100) this.wrong++;
    if (this.count % 50 === 0) this.#firstUnsettled = view.number;
    this.count++;
    if (this.count % 50 === 0) {
      const batch = this.#fixture.engine.begin();
      batch.settle(this.#lease, view.queue, this.#firstUnsettled, view.number - this.#firstUnsettled + 1, 'ack');
      batch.commit(this, 0);
    }
    return true;
  }

  cancelled(): void {
    this.wrong++;
  }

  committed(_token: number, outcomes: readonly unknown[] | null): void {
    if (outcomes !== null) this.wrong++;
    this.reported += 50;
  }

  failed(): void {
    this.wrong++;
  }
}

async function publishMany(fixture: Fixture, key: string, total: number): Promise<void> {
  const targets = fixture.engine.targets([fixture.queue(key)], Buffer.from('e'));
  const view = messageOf({ body: Buffer.alloc(100) });
  const reports: Promise<unknown>[] = [];
  for (let sent = 0; sent < total; sent += 1_000) {
    reports.push(
      fixture.commit((batch) => {
        for (let at = sent; at < sent + 1_000; at++) {
          view.body.writeUInt32BE(at, view.bodyStart);
          batch.append(targets, view);
        }
      }),
    );
    if (reports.length === 8) await reports.shift();
  }
  await Promise.all(reports);
}

export function scaleCases(check: Check): void {
  check('100,000 messages through one queue, in order, acknowledged in fifties', async (fixture) => {
    const { key } = await fixture.declare();
    const lease = fixture.engine.lease();
    const sink = new CountingSink(fixture, lease);
    await fixture.engine.consume(fixture.queue(key), lease, { credit: Infinity, noAck: false }, sink);
    await publishMany(fixture, key, 100_000);
    await until('all delivered', () => sink.count === 100_000);
    await until('all settlements reported', () => sink.reported === 100_000);
    assert.equal(sink.wrong, 0);
    await fixture.expectStats(fixture.queue(key), { ready: 0, unacked: 0, readyBytes: 0 });
  });

  check('a backlog of 50,000 drains in order, also over a restart', async (fixture) => {
    const { key } = await fixture.declare();
    await publishMany(fixture, key, 50_000);
    await fixture.expectStats(fixture.queue(key), { ready: 50_000, readyBytes: 5_000_000 });
    if (fixture.canReopen) await fixture.reopen();
    const queue = fixture.queue(key);
    await fixture.expectStats(queue, { ready: 50_000, readyBytes: 5_000_000 });
    const lease = fixture.engine.lease();
    const sink = new CountingSink(fixture, lease);
    await fixture.engine.consume(queue, lease, { credit: Infinity, noAck: false }, sink);
    await until('all delivered', () => sink.reported === 50_000);
    assert.equal(sink.wrong, 0);
    await fixture.expectStats(queue, { ready: 0, unacked: 0, readyBytes: 0 });
  });

  check('20,000 held by one lease, released, delivered again in order', async (fixture) => {
    const { key } = await fixture.declare();
    await publishMany(fixture, key, 20_000);
    const queue = fixture.queue(key);
    const lease = fixture.engine.lease();
    let held = 0;
    const holder: Sink = { deliver: () => ++held > 0, cancelled: () => undefined };
    await fixture.engine.consume(queue, lease, { credit: Infinity, noAck: false }, holder);
    await until('all held', () => held === 20_000);
    await fixture.expectStats(queue, { ready: 0, unacked: 20_000 });
    await fixture.release(lease);
    await fixture.expectStats(queue, { ready: 20_000, unacked: 0, readyBytes: 2_000_000 });
    const second = fixture.engine.lease();
    const sink = new CountingSink(fixture, second);
    await fixture.engine.consume(queue, second, { credit: Infinity, noAck: false }, sink);
    await until('all delivered again', () => sink.reported === 20_000);
    assert.equal(sink.wrong, 0);
  });

  check('a backlog forwarded from within deliver, straight out of the delivery, keeps its bytes', async (fixture) => {
    const source = await fixture.declare();
    const target = await fixture.declare();
    const bodies = Array.from({ length: 64 }, (_, at) => patterned(1_000 + at, at));
    const total = 12_000;
    for (let sent = 0; sent < total; sent += 1_000) {
      await fixture.commit((batch) => {
        for (let at = sent; at < sent + 1_000; at++) fixture.append(batch, source, { body: bodies[at % 64]! });
      });
    }
    const lease = fixture.engine.lease();
    const targets = fixture.engine.targets([target], Buffer.from('forwarded'));
    let forwarded = 0;
    let reported = 0;
    const receiver = { committed: () => reported++, failed: () => undefined };
    const sink: Sink = {
      deliver: (view) => {
        const batch = fixture.engine.begin();
        batch.append(targets, view);
        batch.settle(lease, source, view.number, 1, 'ack');
        batch.commit(receiver, 0);
        forwarded++;
        return true;
      },
      cancelled: () => undefined,
    };
    await fixture.engine.consume(source, lease, { credit: Infinity, noAck: false }, sink);
    await until('all forwarded', () => forwarded === total && reported === total);
    let wrong = 0;
    let count = 0;
    const checking: Sink = {
      deliver: (view) => {
        if (!view.body.subarray(view.bodyStart, view.bodyEnd).equals(bodies[count % 64]!)) wrong++;
        count++;
        return true;
      },
      cancelled: () => undefined,
    };
    await fixture.engine.consume(target, lease, { credit: Infinity, noAck: false }, checking);
    await until('all there', () => count === total);
    assert.equal(wrong, 0);
    await fixture.expectStats(source, { ready: 0, unacked: 0 });
  });

  check('1,000 queues: declared in one change, one message to all, each its own', async (fixture) => {
    const changes = Array.from({ length: 1_000 }, (_, at): TopologyChange => ({
      op: 'put-queue',
      queue: { key: `q/${at}`, durable: true, limits: {}, value: at },
    }));
    await fixture.change(...changes);
    const all = changes.map((_, at) => fixture.queue(`q/${at}`));
    await fixture.fill(all, 'to all');
    assert.deepEqual(
      await fixture.commit((batch) => {
        for (const [at, queue] of all.entries()) fixture.append(batch, queue, `${at}`);
      }),
      [],
    );
    if (fixture.canReopen) await fixture.reopen();
    for (let at = 0; at < 1_000; at += 37) {
      const queue = fixture.queue(`q/${at}`);
      await fixture.expectStats(queue, { ready: 2 });
      assert.deepEqual(await fixture.drainTexts(queue), ['to all', `${at}`]);
    }
    const { removed } = await fixture.change(
      ...changes.map((_, at): TopologyChange => ({ op: 'delete-queue', key: `q/${at}` })),
    );
    assert.equal(removed, 2 * (1_000 - Math.ceil(1_000 / 37)));
    assert.equal(fixture.engine.queue('q/500'), undefined);
  });
}
