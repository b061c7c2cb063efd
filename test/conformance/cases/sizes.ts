/** The largest that an engine takes, and what is larger: refused as `too-large`, and nothing of it is done. */
import assert from 'node:assert/strict';
import type { Batch, EngineQueue, Identity, MessageView } from '../../../src/engine/engine.ts';
import {
  MAX_ATOMIC_BYTES,
  MAX_BODY_BYTES,
  MAX_ENVELOPE_BYTES,
  MAX_PROPERTIES_BYTES,
} from '../../../src/engine/limits.ts';
import type { Check } from '../engine-suite.ts';
import { type Fixture, messageOf, refused } from '../fixture.ts';

/** Made without copying: what is never touched takes no memory. */
function messageOfSize(bodyBytes: number, propertiesBytes = 1, identity: Identity | null = null): MessageView {
  const message = messageOf();
  message.body = Buffer.alloc(bodyBytes);
  message.bodyStart = 0;
  message.bodyEnd = bodyBytes;
  message.head = Buffer.alloc(propertiesBytes);
  message.propertiesStart = 0;
  message.propertiesEnd = propertiesBytes;
  message.identity = identity;
  return message;
}

const envelope = Buffer.from('e');

/** Appends what is too large in one way or another: as many items as there are answers. */
function appendTooLarge(fixture: Fixture, batch: Batch, queues: readonly EngineQueue[]): void {
  batch.append(fixture.engine.targets(queues, envelope), messageOfSize(MAX_BODY_BYTES + 1));
  batch.append(fixture.engine.targets(queues, envelope), messageOfSize(1, MAX_PROPERTIES_BYTES + 1));
  batch.append(fixture.engine.targets(queues, Buffer.alloc(MAX_ENVELOPE_BYTES + 1)), messageOfSize(1));
}

export function sizeCases(check: Check): void {
  check('the largest properties and the largest envelope come back as they were', async (fixture) => {
    const queue = await fixture.declare();
    const properties = Buffer.alloc(MAX_PROPERTIES_BYTES, 'properties ');
    const large = Buffer.alloc(MAX_ENVELOPE_BYTES, 'envelope ');
    await fixture.commit((batch) => fixture.append(batch, queue, { body: 'body', properties }, large));
    const [delivery] = await fixture.drain(queue);
    assert.ok(delivery, 'a message was there');
    assert.ok(delivery.properties.equals(properties));
    assert.ok(delivery.envelope.equals(large));
    assert.equal(delivery.text, 'body');
  });

  check('a message that is too large is refused, and what is in the batch with it is done', async (fixture) => {
    const queue = await fixture.declare();
    const limited = await fixture.declare({ maxLength: 10, overflow: 'reject' });
    const outcomes = await fixture.commit((batch) => {
      fixture.append(batch, queue, 'a');
      appendTooLarge(fixture, batch, [queue]);
      appendTooLarge(fixture, batch, [limited, queue]);
      fixture.append(batch, [queue, limited], 'b');
    });
    assert.deepEqual(
      outcomes,
      [1, 2, 3, 4, 5, 6].map((item) => refused(item, 'too-large')),
    );
    assert.deepEqual(await fixture.drainTexts(queue), ['a', 'b']);
    assert.deepEqual(await fixture.drainTexts(limited), ['b']);
  });

  check(
    'a message id that came with a message too large is not remembered',
    async (fixture) => {
      const queue = await fixture.declare();
      const id: Identity = { kind: 'id', scope: 's', id: 'one', windowMs: 1e6, windowCount: 10 };
      const outcomes = await fixture.commit((batch) =>
        batch.append(fixture.engine.targets([queue], envelope), messageOfSize(MAX_BODY_BYTES + 1, 1, id)),
      );
      assert.deepEqual(outcomes, [refused(0, 'too-large')]);
      await fixture.fill(queue, { body: 'a', identity: id });
      assert.deepEqual(await fixture.drainTexts(queue), ['a']);
    },
    { needs: 'messageIds' },
  );

  check('a keyed value that is too large with its key is refused', async (fixture) => {
    const key = 'k'.repeat(10);
    const outcomes = await fixture.commit((batch) => {
      batch.put('a', Buffer.from('1'));
      batch.put(key, Buffer.alloc(MAX_BODY_BYTES - key.length + 1));
      batch.put('b', Buffer.from('2'));
    });
    assert.deepEqual(outcomes, [refused(1, 'too-large')]);
    const values = await fixture.engine.state('');
    assert.deepEqual(values.map((value) => value.key).sort(), ['a', 'b']);
  });

  check(
    'nothing of an atomic batch is done where one message is too large',
    async (fixture) => {
      const queue = await fixture.declare();
      const outcomes = await fixture.commit((batch) => {
        fixture.append(batch, queue, 'a');
        appendTooLarge(fixture, batch, [queue]);
        batch.put('key', Buffer.alloc(MAX_BODY_BYTES));
      }, 'required');
      assert.deepEqual(
        outcomes,
        [1, 2, 3, 4].map((item) => refused(item, 'too-large')),
      );
      await fixture.expectStats(queue, { ready: 0 });
      assert.deepEqual(await fixture.engine.state(''), []);
    },
    { needs: 'atomic-required' },
  );

  check(
    'an atomic batch takes only so much together',
    async (fixture) => {
      const queue = await fixture.declare();
      const half = messageOfSize(MAX_ATOMIC_BYTES / 2 - 1);
      const outcomes = await fixture.commit((batch) => {
        const targets = fixture.engine.targets([queue], envelope);
        batch.append(targets, half);
        batch.append(targets, half);
        fixture.append(batch, queue, 'more');
      }, 'required');
      assert.deepEqual(outcomes, [refused(2, 'too-large')]);
      await fixture.expectStats(queue, { ready: 0 });
    },
    { needs: 'atomic-required' },
  );
}
