/** What a group notes is written whole, however long its names are; and a group that can't be read is told, not cut. */
import assert from 'node:assert/strict';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { localEngine } from '../../../src/engine/local/index.ts';
import {
  GROUP_HEADER_BYTES,
  GROUP_TRAILER_BYTES,
  finishGroup,
  sealGroup,
} from '../../../src/engine/local/journal/group.ts';
import { inspectJournal } from '../../../src/engine/local/journal/inspect.ts';
import { readSegmentHeader } from '../../../src/engine/local/journal/segment-file.ts';
import { ListenerLog } from '../../conformance/fixture.ts';
import { crashing, small } from './crashing.ts';
import { ScratchJournal } from './journal/scratch-journal.ts';

const long = 'ö'.repeat(70_000);

test('keys, producers and scopes of more than 65,535 bytes survive a crash and a clean stop', async (t) => {
  // One segment holds it all: none goes while the directory is copied.
  const { fixture } = await crashing(t, { ...small, firstSegmentBytes: 4 * 1024 * 1024 });
  const queue = await fixture.declare();
  await fixture.commit((batch) => batch.put(long, Buffer.from('value')));
  const { epoch } = await fixture.engine.producer(long);
  await fixture.publish(queue, { body: 'a', identity: { kind: 'producer', producer: long, epoch, sequence: 1 } });
  const id = { kind: 'id', scope: long, id: 'one', windowMs: 1e6, windowCount: 10 } as const;
  await fixture.publish(queue, { body: 'b', identity: id });
  for (const stop of [() => fixture.crash(), () => fixture.reopen()]) {
    await stop();
    const [state] = await fixture.engine.state('');
    assert.equal(state?.key, long);
    const again = await fixture.publish(fixture.queue(queue.key), { body: 'b', identity: id });
    assert.equal(again[0]?.outcome, 'duplicate');
    assert.equal((await fixture.engine.producer(long)).lastSequence, 1);
    await fixture.expectStats(fixture.queue(queue.key), { ready: 2 });
  }
});

test('a group whose checksum is right but whose entries make no sense is told by its place', async (t) => {
  const journal = await ScratchJournal.make();
  t.after(() => journal.remove());
  await journal.open();
  await journal.declare('q');
  await journal.publish('q', 3);
  await journal.engine.close();
  const { id, file, groups } = (await journal.segments()).at(-1)!;
  const { to: offset, sequence } = groups.at(-1)!;
  const length = GROUP_HEADER_BYTES + 8 + GROUP_TRAILER_BYTES;
  const group = Buffer.alloc(length);
  group[GROUP_HEADER_BYTES] = 5;
  const directory = { directoryStart: GROUP_HEADER_BYTES, directoryLength: 5 };
  finishGroup(group, 0, { length, sequence: sequence + 1, segment: id, offset, ...directory });
  sealGroup(group, 0, sequence, readSegmentHeader(await readFile(journal.path(file)), id).salt!);
  const written = await open(journal.path(file), 'r+');
  await written.write(group, 0, length, offset);
  await written.close();

  const range = `${join(journal.directory, file)}, bytes ${offset} to ${offset + length}: `;
  await assert.rejects(localEngine(journal.directory).open(new ListenerLog()), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'CORRUPT');
    assert.ok(error.message.includes(range), error.message);
    assert.match(error.message, new RegExp(`group ${sequence + 1} did can't be read`));
    return true;
  });
  const { damage } = await inspectJournal(journal.directory);
  assert.deepEqual(
    damage.map(({ file: name, from }) => [name, from]),
    [[file, offset]],
  );
});
