import assert from 'node:assert/strict';
import { cp, mkdtemp, open, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { crc32 } from 'node:zlib';
import { DiskFiles } from '../../../../src/engine/local/journal/disk-files.ts';
import { inspectJournal } from '../../../../src/engine/local/journal/inspect.ts';
import { readSegmentHeader } from '../../../../src/engine/local/journal/segment-file.ts';
import { ScratchJournal, firstRun } from './scratch-journal.ts';

const opened: ScratchJournal[] = [];
let journal: ScratchJournal;
/** What a kill would leave now. */
let killed: ScratchJournal;

/** No checkpoint but the one that a new directory gets. */
const young = { segmentBytes: 64 * 1024, firstSegmentBytes: 64 * 1024 };

beforeEach(async () => {
  journal = await ScratchJournal.make();
  killed = new ScratchJournal(await mkdtemp(join(tmpdir(), 'postrider-killed-')));
  opened.push(journal, killed);
  await journal.open(young);
  await journal.declare('q');
  await journal.publish('q', 40, 1000);
  for (const name of await readdir(journal.directory))
    if (name !== 'lock' && !name.endsWith('.new')) await cp(journal.path(name), killed.path(name));
});

afterEach(async () => {
  await journal.engine.close();
  for (const each of opened.splice(0)) await each.remove();
});

async function ready(store: ScratchJournal): Promise<number> {
  return (await store.engine.stats(store.engine.queue('q')!)).ready;
}

async function damageHeader(damage: Buffer, at: number): Promise<void> {
  const [first, next] = await killed.files(/^journal-/);
  const segment = await readFile(killed.path(first!));
  assert.ok(readSegmentHeader(segment, 1).whole);
  if (next !== undefined) await rm(killed.path(next));
  for (const checkpoint of await killed.files(/\.ckpt$/)) await rm(killed.path(checkpoint));
  const file = await open(killed.path(first!), 'r+');
  await file.write(damage, 0, damage.length, at);
  await file.close();
  await assert.rejects(killed.open(young), { code: 'CORRUPT', message: /bytes 0 to 64: its header is not what/ });
}

describe('recovery without a whole checkpoint', () => {
  it('reads the journal from its first group, as long as all of it is there, and says so', async () => {
    const [checkpoint, ...others] = await killed.files(/\.ckpt$/);
    assert.deepEqual(others, []);
    await killed.flip(checkpoint!, 3);
    const { refusal, damage } = await inspectJournal(killed.directory);
    assert.equal(refusal, null);
    assert.deepEqual(
      damage.map(({ file }) => file),
      [checkpoint],
    );
    await killed.open(young);
    assert.equal(killed.notices.length, 1);
    assert.match(
      killed.notices[0]!,
      new RegExp(`${checkpoint}, bytes .*; the journal is read from its beginning instead$`),
    );
    assert.equal(await ready(killed), 40);
    await killed.engine.close();
    await killed.open(young);
    assert.equal(killed.notices.length, 1);
    assert.equal(await ready(killed), 40);
    await killed.engine.close();
  });

  it('refuses where a segment has gone', async () => {
    const [checkpoint] = await killed.files(/\.ckpt$/);
    await killed.flip(checkpoint!, 3);
    await rm(killed.path('journal-0000000001.seg'));
    await assert.rejects(killed.open(young), { code: 'CORRUPT', message: new RegExp(`${checkpoint}, bytes `) });
    assert.deepEqual(killed.notices, []);
  });
});

it('a checkpoint that says what this version does not know is refused, and left as it is', async () => {
  const [checkpoint] = await killed.files(/\.ckpt$/);
  await killed.change(checkpoint!, (bytes) => {
    const footer = Buffer.from(bytes.subarray(-16));
    const start = footer.readUInt32LE(0);
    const extension = Buffer.from([200, 2, 0, 0, 0, 1, 2]);
    const manifest = Buffer.concat([bytes.subarray(start, -16), extension]);
    footer.writeUInt32LE(manifest.length, 4);
    footer.writeUInt32LE(crc32(manifest), 8);
    return Buffer.concat([bytes.subarray(0, start), manifest, footer]);
  });
  const before = await readFile(killed.path(checkpoint!));
  const refused = { code: 'NEWER', message: new RegExp(`${checkpoint} has an extension of kind 200`) };
  await assert.rejects(killed.open(young), refused);
  await assert.rejects(inspectJournal(killed.directory), refused);
  assert.deepEqual(killed.notices, []);
  assert.deepEqual(await readFile(killed.path(checkpoint!)), before);
});

it('a file that can not be read is told as what it is, and leaves the store free', async () => {
  const files = new DiskFiles();
  const open = files.open.bind(files);
  files.open = (path, mode) => {
    if (!path.endsWith('.seg') || mode !== 'read') return open(path, mode);
    const error = new Error(`EIO: i/o error, open '${path}'`);
    return Promise.reject(Object.assign(error, { code: 'EIO', syscall: 'open', path }));
  };
  await assert.rejects(killed.open({ ...young, files }), {
    code: 'UNWRITABLE',
    message: /0000000001\.seg can't be used: EIO/,
  });
  await killed.open(young);
  assert.equal(await ready(killed), 40);
  await killed.engine.close();
});

describe('a group that is not whole', () => {
  it('is told and cut at the end, where nothing says that it was on disk', async () => {
    const { file, groups } = (await killed.segments()).at(-1)!;
    const last = groups.at(-1)!;
    await killed.flip(file, firstRun(last) + 100);
    await killed.open(young);
    assert.deepEqual(killed.notices, [
      `segment ${killed.path(file)}: a group at byte ${last.from} is not whole, and not known to be on disk; it is cut`,
    ]);
    assert.equal(await ready(killed), 39);
    await killed.engine.close();
  });

  it('is not said to be cut where the start is refused because of it', async () => {
    const { file, groups } = (await killed.segments()).at(-1)!;
    const damaged = groups.at(-4)!;
    await killed.flip(file, firstRun(damaged) + 100);
    await assert.rejects(killed.open(young), {
      code: 'CORRUPT',
      message: new RegExp(`${file}, from byte ${damaged.from}: group ${damaged.sequence} is damaged or missing`),
    });
    assert.deepEqual(killed.notices, []);
  });

  for (const [what, bytes, at] of [
    ['one copy of', Buffer.from([0xff]), 9],
    ['all of', Buffer.alloc(64), 0],
  ] as const)
    it(`is damage if ${what} the header of the last segment is, though groups stand behind it`, () =>
      damageHeader(bytes, at));
});
