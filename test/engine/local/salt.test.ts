/** Bytes in a segment's file that look like groups, but are what an earlier life left there: messages, in a spare that is used again. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, open, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { EntryKind, EntryWriter } from '../../../src/engine/local/journal/directory.ts';
import {
  GROUP_HEADER_BYTES,
  GROUP_TRAILER_BYTES,
  finishGroup,
  sealGroup,
} from '../../../src/engine/local/journal/group.ts';
import { inspectJournal } from '../../../src/engine/local/journal/inspect.ts';
import { readSegmentHeader, segmentOfName, type Salt } from '../../../src/engine/local/journal/segment-file.ts';
import { scanSegment } from '../../../src/engine/local/journal/segment-scan.ts';
import { ScratchJournal } from './journal/scratch-journal.ts';

const KiB = 1024;
const sizes = { firstSegmentBytes: 16 * KiB, segmentBytes: 16 * KiB, spareSegments: 2 };

/** A group that is right in all that a publisher can know or guess: it writes keyed state. */
function forgedGroup(segment: number, offset: number, sequence: number, syncedThrough: number, salt: Salt): Buffer {
  const entries = new EntryWriter();
  entries.u8(EntryKind.STATE);
  entries.f64(1_000);
  const key = Buffer.from('forged');
  entries.u32(key.length);
  entries.u32(0);
  entries.bytes(key);
  const length = (GROUP_HEADER_BYTES + entries.length + GROUP_TRAILER_BYTES + 7) & ~7;
  const group = Buffer.alloc(length);
  entries.buffer.copy(group, GROUP_HEADER_BYTES, 0, entries.length);
  const directoryLength = entries.length;
  finishGroup(group, 0, { length, sequence, segment, offset, directoryStart: GROUP_HEADER_BYTES, directoryLength });
  sealGroup(group, 0, syncedThrough, salt);
  return group;
}

interface Recycled {
  readonly journal: ScratchJournal;
  readonly path: string;
  readonly segment: number;
  readonly salt: Salt;
  /** Where its last group ends, and that group's sequence. */
  readonly end: number;
  readonly sequence: number;
}

/** A journal as a kill leaves it, whose newest segment with groups was a spare before: what lies behind them is old messages. */
async function recycled(test: TestContext): Promise<Recycled> {
  const running = await ScratchJournal.make();
  await running.open(sizes);
  test.after(async () => {
    await running.engine.close();
    await running.remove();
  });
  await running.declare('q');
  for (;;) {
    await running.publish('q', 12, 400);
    await running.purge('q');
    const journal = new ScratchJournal(await mkdtemp(join(tmpdir(), 'postrider-salt-')));
    test.after(() => journal.remove());
    if (!(await copied(running, journal))) continue;
    const newest = (await journal.segments()).at(-1)!;
    const path = journal.path(newest.file);
    const bytes = await readFile(path);
    const { to: end, sequence } = newest.groups.at(-1)!;
    // Old messages lie at its end, with room for what is to be forged.
    if (!bytes.subarray(end + 64, end + 2 * KiB).includes('envelope') || bytes.length < end + 4 * KiB) continue;
    const { salt } = readSegmentHeader(bytes, newest.id);
    return { journal, path, segment: newest.id, salt: salt!, end, sequence };
  }
}

/** False: files came and went meanwhile. */
async function copied(from: ScratchJournal, to: ScratchJournal): Promise<boolean> {
  const names = await readdir(from.directory);
  try {
    for (const name of names) if (name !== 'lock' && !name.endsWith('.new')) await cp(from.path(name), to.path(name));
  } catch {
    return false;
  }
  return names.join() === (await readdir(from.directory)).join();
}

/** Puts bytes where a message of the earlier life could have brought them. */
async function leave(path: string, at: number, bytes: Buffer): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, at);
  await file.close();
}

const guessed = { low: 0, high: 0 };

describe('a message that looks like a group, in a segment that is used again', () => {
  it('is not applied where the next group would stand', async (t) => {
    const { journal, path, segment, end, sequence } = await recycled(t);
    await leave(path, end, forgedGroup(segment, end, sequence + 1, sequence, guessed));
    const { damage, tornTail, refusal } = await inspectJournal(journal.directory);
    assert.deepEqual({ damage, tornTail, refusal }, { damage: [], tornTail: null, refusal: null });
    await journal.open(sizes);
    assert.deepEqual(await journal.engine.state(''), []);
    assert.deepEqual(journal.notices, []);
    await journal.engine.close();
  });

  it('proves nothing where it stands behind the end', async (t) => {
    const { journal, path, segment, end, sequence } = await recycled(t);
    for (const at of [end + 8, end + 512]) await leave(path, at, forgedGroup(segment, at, sequence + 9, 1e9, guessed));
    const { damage, tornTail, refusal } = await inspectJournal(journal.directory);
    assert.deepEqual({ damage, tornTail, refusal }, { damage: [], tornTail: null, refusal: null });
    await journal.open(sizes);
    assert.deepEqual(await journal.engine.state(''), []);
    assert.deepEqual(journal.notices, []);
    await journal.engine.close();
  });

  it('would be taken for one with the salt of the segment, half of which is not enough', async (t) => {
    const { journal, path, segment, salt, end, sequence } = await recycled(t);
    const stands = async (guess: Salt): Promise<string> => {
      await leave(path, end, forgedGroup(segment, end, sequence + 1, sequence, guess));
      return [...scanSegment(await readFile(path), segment)].find(({ from }) => from === end)!.kind;
    };
    assert.equal(await stands({ low: salt.low, high: (salt.high ^ 1) >>> 0 }), 'gap');
    assert.equal(await stands({ low: (salt.low ^ 1) >>> 0, high: salt.high }), 'gap');
    assert.equal(await stands(salt), 'group');
    await journal.open(sizes);
    assert.deepEqual(
      (await journal.engine.state('')).map(({ key }) => key),
      ['forged'],
    );
    await journal.engine.close();
  });
});

describe('the salt of a segment', () => {
  it('is another in each life of a file', async (t) => {
    const journal = await ScratchJournal.make();
    t.after(() => journal.remove());
    await journal.open(sizes);
    await journal.declare('q');
    const salts = new Map<string, string>();
    for (let round = 0; round < 8; round++) {
      await journal.publish('q', 30, 400);
      await journal.purge('q');
      for (const file of await journal.files(/^journal-/)) {
        // One that is not needed any more may go meanwhile.
        const bytes = await readFile(journal.path(file)).catch(() => null);
        const salt = bytes === null ? null : readSegmentHeader(bytes, segmentOfName(file)!).salt;
        if (salt !== null) salts.set(file, JSON.stringify(salt));
      }
    }
    await journal.engine.close();
    assert.ok(salts.size > 4);
    assert.equal(new Set(salts.values()).size, salts.size);
  });

  it('comes from where it is told to', async (t) => {
    const journal = await ScratchJournal.make();
    t.after(async () => rm(journal.directory, { recursive: true }));
    let drawn = 100;
    await journal.open({ ...sizes, randomBits: () => drawn++ });
    await journal.declare('q');
    const [first] = await journal.segments();
    await journal.engine.close();
    const { whole, salt } = readSegmentHeader(await readFile(journal.path(first!.file)), first!.id);
    assert.deepEqual({ whole, salt }, { whole: true, salt: { low: 100, high: 101 } });
  });
});

it('a segment of which one copy of the header is damaged is read by the other', async (t) => {
  const journal = await ScratchJournal.make();
  t.after(() => journal.remove());
  await journal.open(sizes);
  await journal.declare('q');
  await journal.publish('q', 60, 400);
  await journal.engine.close();
  const [first] = await journal.segments();
  for (const at of [0, 5, 9, 17, 21, 29, 32, 49, 61]) {
    await journal.flip(first!.file, at);
    const { damage } = await inspectJournal(journal.directory);
    assert.deepEqual(
      damage.map(({ file, from, to }) => [file, from, to]),
      [[first!.file, 0, 64]],
      `byte ${at}`,
    );
    await journal.flip(first!.file, at);
  }
});
