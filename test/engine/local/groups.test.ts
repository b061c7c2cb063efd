import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CommitReceiver } from '../../../src/engine/engine.ts';
import { crashing, groupsIn } from './crashing.ts';

test('a message and the identity of its publish stand in one group', async (t) => {
  const { fixture, directory } = await crashing(t);
  const queue = await fixture.declare();
  const { epoch } = await fixture.engine.producer('p');
  await fixture.commit((batch) => {
    for (let sequence = 1; sequence <= 300; sequence++) {
      const identity = { kind: 'producer', producer: 'p', epoch, sequence } as const;
      fixture.append(batch, queue, { body: Buffer.alloc(sequence * 7), identity });
    }
  });
  let stored = 0;
  let known = 0;
  for (const entries of await groupsIn(directory())) {
    for (const entry of entries) {
      if (entry.kind === 'run') stored += entry.count;
      if (entry.kind === 'producer') known = entry.sequence;
    }
    assert.equal(stored, known);
  }
  assert.equal(stored, 300);
});

test('the changes of one call stand in one group', async (t) => {
  const { fixture, directory } = await crashing(t);
  await fixture.change(
    ...Array.from({ length: 300 }, (_, n) => ({
      op: 'put-queue' as const,
      queue: { key: `queue-${n}`, durable: true, limits: {}, value: { n } },
    })),
  );
  const groups = await groupsIn(directory());
  assert.equal(groups.filter((entries) => entries.some((entry) => entry.kind === 'queue')).length, 1);
});

test('a message can go to more queues than one entry names', async (t) => {
  const { fixture } = await crashing(t);
  const kept = await fixture.declare();
  const keys = Array.from({ length: 66_000 }, (_, n) => `many-${n}`);
  await fixture.change(
    ...keys.map((key) => ({ op: 'put-queue' as const, queue: { key, durable: false, limits: {}, value: null } })),
  );
  await fixture.fill([...keys.map((key) => fixture.queue(key)), kept], 'm');
  await fixture.crash();
  assert.deepEqual(await fixture.drainTexts(fixture.queue(kept.key)), ['m']);
});

test('a commit is reported before those made after it, though nothing of it needs the disk', async (t) => {
  const { fixture } = await crashing(t);
  const queue = await fixture.declare({}, { durable: false });
  const reported: number[] = [];
  const done = new Promise<void>((resolve) => {
    const receiver: CommitReceiver<number> = {
      committed: (token) => {
        if (reported.push(token) === 2) resolve();
      },
      failed: () => undefined,
    };
    for (const [token, bytes] of [10, 20_000].entries()) {
      const batch = fixture.engine.begin();
      fixture.append(batch, queue, { body: Buffer.alloc(bytes) });
      batch.commit(receiver, token);
    }
  });
  await done;
  assert.deepEqual(reported, [0, 1]);
});
