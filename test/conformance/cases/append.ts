/** Appending: bytes, order, targets; and how commits are reported. */
import assert from 'node:assert/strict';
import type { CommitReceiver, ItemOutcome } from '../../../src/engine/engine.ts';
import type { EngineError } from '../../../src/engine/errors.ts';
import type { Check } from '../engine-suite.ts';
import { type Fixture, messageOf, until } from '../fixture.ts';

/** Bytes that differ at every place and from one seed to another. */
export function patterned(length: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = (seed + 1) * 2_654_435_761;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

async function roundTrip(fixture: Fixture, bodies: readonly Buffer[]): Promise<void> {
  const queue = await fixture.declare();
  for (const body of bodies) await fixture.fill(queue, { body });
  const drained = await fixture.drain(queue);
  assert.equal(drained.length, bodies.length);
  drained.forEach((delivery, at) => {
    assert.ok(delivery.body.equals(bodies[at]!), `body of ${bodies[at]!.length} bytes`);
  });
}

/** Notes in which order it was told. */
class OrderReceiver implements CommitReceiver<string> {
  readonly told: string[] = [];
  next: (() => void) | null = null;

  committed(token: string, outcomes: readonly ItemOutcome[] | null): void {
    assert.equal(outcomes, null, 'nothing to tell is null');
    this.told.push(token);
    const { next } = this;
    this.next = null;
    next?.();
  }

  failed(token: string, error: EngineError): void {
    this.told.push(`${token} failed: ${error.message}`);
  }
}

export function appendCases(check: Check): void {
  check('messages come in the order of their appends, over batches', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, 'a', 'b', 'c');
    await fixture.fill(queue, 'd');
    await fixture.fill(queue, 'e', 'f');
    assert.deepEqual(await fixture.drainTexts(queue), ['a', 'b', 'c', 'd', 'e', 'f']);
  });

  check('one append reaches each of its queues once, with appends to others between', async (fixture) => {
    const a = await fixture.declare();
    const b = await fixture.declare();
    const c = await fixture.declare({}, { durable: false });
    await fixture.commit((batch) => {
      fixture.append(batch, [a, b, c], '1');
      fixture.append(batch, b, '2');
      fixture.append(batch, [c, a], '3');
      fixture.append(batch, [b], '4');
    });
    assert.deepEqual(await fixture.drainTexts(a), ['1', '3']);
    assert.deepEqual(await fixture.drainTexts(b), ['1', '2', '4']);
    assert.deepEqual(await fixture.drainTexts(c), ['1', '3']);
  });

  check('bodies from 0 bytes to 1 MiB come back as they were', (fixture) =>
    roundTrip(
      fixture,
      [0, 1, 7, 127, 128, 255, 256, 4_095, 4_096, 4_097, 65_535, 65_536, 65_537, 1 << 20].map(patterned),
    ),
  );

  check('a body of 16 MiB comes back as it was', (fixture) =>
    roundTrip(fixture, [patterned(16 << 20, 1), patterned(3, 2)]),
  );

  check('many bodies of odd sizes in one batch come back as they were', async (fixture) => {
    const queue = await fixture.declare();
    const bodies = Array.from({ length: 300 }, (_, at) => patterned((at * 97) % 1_500, at));
    await fixture.fill(queue, ...bodies.map((body) => ({ body })));
    const drained = await fixture.drain(queue);
    assert.deepEqual(
      drained.map((delivery, at) => delivery.body.equals(bodies[at]!)),
      bodies.map(() => true),
    );
  });

  check('properties and envelopes come back byte for byte, empty ones too', async (fixture) => {
    const queue = await fixture.declare();
    const envelopes: Buffer[] = [Buffer.alloc(0), everyByte, patterned(510, 1), Buffer.from([0])];
    const properties: Buffer[] = [everyByte, Buffer.alloc(0), patterned(70_000, 2), Buffer.from([0, 0])];
    for (const [at, envelope] of envelopes.entries()) {
      assert.deepEqual(
        await fixture.commit((batch) =>
          fixture.append(batch, queue, { body: `${at}`, properties: properties[at]! }, envelope),
        ),
        [],
      );
    }
    const drained = await fixture.drain(queue);
    drained.forEach((delivery, at) => {
      assert.deepEqual(delivery.envelope, envelopes[at]);
      assert.deepEqual(delivery.properties, properties[at]);
      assert.equal(delivery.text, `${at}`);
    });
    assert.equal(drained.length, envelopes.length);
  });

  check('an envelope id is shared by equal envelopes only', async (fixture) => {
    const queue = await fixture.declare();
    const names = ['a', 'b', 'a', 'ab', 'b', 'a', ''];
    for (const name of names) {
      await fixture.commit((batch) => fixture.append(batch, queue, name, Buffer.from(name)));
    }
    const byId = new Map<number, string>();
    for (const delivery of await fixture.drain(queue)) {
      const envelope = delivery.envelope.toString();
      assert.equal(byId.get(delivery.envelopeId) ?? envelope, envelope);
      byId.set(delivery.envelopeId, envelope);
    }
    assert.deepEqual(new Set(byId.values()), new Set(names));
  });

  check('the message is copied before append returns', async (fixture) => {
    const queue = await fixture.declare();
    const envelope = Buffer.from('envelope');
    const view = messageOf({ body: 'kept', properties: Buffer.from('properties') });
    await fixture.commit((batch) => {
      const targets = fixture.engine.targets([queue], Buffer.from(envelope));
      batch.append(targets, view);
      view.head.fill(0);
      view.body.fill(0);
      view.body = Buffer.alloc(0);
      view.bodyStart = view.bodyEnd = 0;
    });
    const [delivery] = await fixture.drain(queue);
    assert.ok(delivery, 'a message was there');
    assert.equal(delivery.text, 'kept');
    assert.equal(delivery.properties.toString(), 'properties');
    assert.deepEqual(delivery.envelope, envelope);
  });

  check('targets are made once and used for many appends and batches', async (fixture) => {
    const queue = await fixture.declare();
    const targets = fixture.engine.targets([queue], Buffer.from('e'));
    for (let round = 0; round < 3; round++) {
      await fixture.commit((batch) => {
        batch.append(targets, messageOf({ body: `${round}a` }));
        batch.append(targets, messageOf({ body: `${round}b` }));
      });
    }
    assert.deepEqual(await fixture.drainTexts(queue), ['0a', '0b', '1a', '1b', '2a', '2b']);
  });

  check('a message says when it was stored', async (fixture) => {
    const queue = await fixture.declare();
    const before = fixture.now();
    await fixture.fill(queue, 'a');
    const [delivery] = await fixture.drain(queue);
    assert.ok(delivery, 'a message was there');
    // A second of slack: a store on another machine has a clock of its own.
    assert.ok(
      delivery.storedAt >= before - 1_000 && delivery.storedAt <= fixture.now() + 1_000,
      'stored at another time',
    );
  });

  check('an empty batch, and one that appends to no queue, are reported', async (fixture) => {
    assert.deepEqual(await fixture.commit(() => undefined), []);
    assert.deepEqual(await fixture.publish([], 'to nobody'), []);
  });

  check('commits are reported in the order of the calls, to one receiver by token', async (fixture) => {
    const durable = await fixture.declare();
    const transient = await fixture.declare({}, { durable: false });
    const receiver = new OrderReceiver();
    const expected: string[] = [];
    for (let at = 0; at < 50; at++) {
      const batch = fixture.engine.begin();
      // Of one that waits for the disk, one that does not, and an empty one, none may overtake.
      if (at % 3 === 0) fixture.append(batch, durable, { body: patterned(at * 1_000, at) });
      if (at % 3 === 1) fixture.append(batch, transient, 'x');
      batch.commit(receiver, `${at}`);
      expected.push(`${at}`);
    }
    assert.deepEqual(receiver.told, [], 'reported before commit returned');
    await until('all commits reported', () => receiver.told.length === expected.length);
    assert.deepEqual(receiver.told, expected);
  });

  check('a receiver may commit again from within its report', async (fixture) => {
    const queue = await fixture.declare();
    const receiver = new OrderReceiver();
    receiver.next = () => {
      const batch = fixture.engine.begin();
      fixture.append(batch, queue, 'second');
      batch.commit(receiver, 'second');
    };
    const batch = fixture.engine.begin();
    fixture.append(batch, queue, 'first');
    batch.commit(receiver, 'first');
    await until('both reported', () => receiver.told.length === 2);
    assert.deepEqual(receiver.told, ['first', 'second']);
    assert.deepEqual(await fixture.drainTexts(queue), ['first', 'second']);
  });

  check('a sink may begin batches: pass on and acknowledge in one', async (fixture) => {
    const source = await fixture.declare();
    const target = await fixture.declare();
    const receiver = new OrderReceiver();
    const { sink, lease } = await fixture.consume(source);
    sink.onDeliver = (delivery) => {
      const batch = fixture.engine.begin();
      fixture.append(batch, target, `${delivery.text}!`);
      batch.settle(lease, source, delivery.number, 1, 'ack');
      batch.commit(receiver, delivery.text);
      return true;
    };
    await fixture.fill(source, 'a', 'b', 'c');
    await until('all passed on', () => receiver.told.length === 3);
    assert.deepEqual(receiver.told, ['a', 'b', 'c']);
    await fixture.expectStats(source, { ready: 0, unacked: 0 });
    assert.deepEqual(await fixture.drainTexts(target), ['a!', 'b!', 'c!']);
  });
}
