/** What a batch wants together is in one group, and so survives a crash together, wherever blocks and segments end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashing, groupsIn, small } from './crashing.ts';

for (const together of [true, false]) {
  const what = together ? 'are in one group' : 'may be divided where nobody asked';
  test(`messages and the state that says so ${what}`, async (t) => {
    const { fixture, directory } = await crashing(t, small);
    const queue = await fixture.declare();
    const { engine } = fixture;
    // Without rest: groups are of many batches, and end where there is no more room.
    const batches: Promise<unknown>[] = [];
    for (let number = 0; number < 60; number++) {
      batches.push(
        fixture.commit((batch) => {
          if (together) batch.together();
          fixture.append(batch, queue, 'a'.repeat(700 + 37 * number));
          fixture.append(batch, queue, 'b'.repeat(500));
          batch.put(`batch ${number}`, Buffer.alloc(100));
        }),
      );
    }
    await Promise.all(batches);
    let divided = 0;
    for (const group of await groupsIn(directory())) {
      const messages = group.reduce((sum, entry) => sum + (entry.kind === 'run' ? entry.count : 0), 0);
      const states = group.filter((entry) => entry.kind === 'state').length;
      if (messages !== 2 * states) divided++;
    }
    assert.equal(divided > 0, !together);
    assert.equal((await engine.state('batch ')).length, 60);
    await fixture.crash();
    await fixture.expectStats(fixture.queue(queue.key), { ready: 120 });
    assert.equal((await fixture.engine.state('batch ')).length, 60);
  });
}

test('a group ends though every batch in it wants to be together and nobody waits for the disk', async (t) => {
  const { fixture, directory } = await crashing(t, small);
  const queue = await fixture.declare({}, { durable: false });
  const batches = Array.from({ length: 100 }, () =>
    fixture.commit((batch) => {
      batch.together();
      fixture.append(batch, queue, 'a'.repeat(1000));
    }),
  );
  await Promise.all(batches);
  const durable = await fixture.declare();
  await fixture.commit((batch) => fixture.append(batch, durable, 'b'));
  const counts = (await groupsIn(directory())).map((group) =>
    group.reduce((sum, entry) => sum + (entry.kind === 'run' ? entry.count : 0), 0),
  );
  // As many as a block has room for.
  assert.ok(Math.max(...counts) < 20, counts.join(' '));
});
