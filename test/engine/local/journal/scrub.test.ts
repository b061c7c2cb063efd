import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { until } from '../../../conformance/fixture.ts';
import { HandClock, ScratchJournal, firstRun, type ScratchGroup } from './scratch-journal.ts';

interface Sealed {
  readonly file: string;
  readonly groups: readonly ScratchGroup[];
}

const scrubIntervalMs = 12_345;

describe('the scrub', () => {
  let journal: ScratchJournal;
  let clock: HandClock;
  let sealed: Sealed[];

  beforeEach(async () => {
    clock = new HandClock();
    journal = await ScratchJournal.make();
    await journal.open({ clock, scrubIntervalMs });
    await journal.declare('orders', 'mail', 'idle');
    await journal.publish('orders', 60);
    await journal.publish('mail', 60);
    sealed = (await journal.segments()).slice(0, -1);
  });
  afterEach(async () => {
    await journal.engine.close();
    await journal.remove();
  });

  /** Lets it look at one segment. */
  async function lookOnce(): Promise<void> {
    clock.ring();
    await until('the scrub is done with the segment', () => clock.waits(scrubIntervalMs));
  }

  async function lookAtAll(): Promise<void> {
    for (let looks = 0; looks <= sealed.length; looks++) await lookOnce();
  }

  const stopped = (): string[] => journal.damages.map(({ queue }) => queue);

  it('says nothing of what is whole, round after round', async () => {
    for (let round = 0; round < 3; round++) await lookAtAll();
    assert.deepEqual(journal.damages, []);
    assert.deepEqual(journal.notices, []);
  });

  it('stops the queue whose message is damaged, and no other, and names file and range', async () => {
    const segment = sealed[1]!;
    const at = firstRun(segment.groups[2]!);
    await journal.flip(segment.file, at + 70);
    await lookAtAll();
    assert.deepEqual(stopped(), ['orders']);
    assert.match(
      journal.damages[0]!.message,
      /^queue orders stopped: segment .+journal-\d{10}\.seg, bytes \d+ to \d+: /,
    );
    assert.ok(journal.damages[0]!.message.includes(`${segment.file}, bytes ${at} to `));
    assert.equal(journal.notices.length, 1);
    assert.match(journal.notices[0]!, /no more deliveries from orders$/);
    await journal.publish('mail', 1);
  });

  it('tells it once', async () => {
    await journal.flip(sealed[0]!.file, firstRun(sealed[0]!.groups[3]!) + 70);
    for (let round = 0; round < 3; round++) await lookAtAll();
    assert.equal(journal.damages.length, 1);
    assert.equal(journal.notices.length, 1);
  });

  it('only tells of damage where nothing lives', async () => {
    for (let n = 0; n < 4; n++) {
      await journal.publish('orders', 1);
      await journal.publish('mail', 1);
    }
    await journal.publish('idle', 60);
    const found: { file: string; gone: ScratchGroup }[] = [];
    for (const { file, groups } of await journal.segments()) {
      const bytes = await readFile(journal.path(file));
      const gone = groups.find(({ from, to }) => bytes.subarray(from, to).includes('orders 0 '));
      if (gone !== undefined && bytes.includes('mail 0 ')) found.push({ file, gone });
    }
    const segment = found.at(-1)!;
    const { gone } = segment;
    await journal.purge('orders');
    await journal.flip(segment.file, firstRun(gone) + 70);
    for (let looks = 0; looks < 30; looks++) await lookOnce();
    assert.deepEqual(journal.damages, []);
    assert.equal(journal.notices.length, 1);
    assert.ok(journal.notices[0]!.includes(`${segment.file}, bytes ${firstRun(gone)} to `));
    assert.match(journal.notices[0]!, /messages are not what was written; no queue is stopped by it$/);
  });

  it('tells of a damaged group, and goes on delivering messages that are whole', async () => {
    const segment = sealed[1]!;
    const group = segment.groups[2]!;
    await journal.flip(segment.file, group.from + 44);
    await lookAtAll();
    assert.deepEqual(journal.damages, []);
    assert.equal(journal.notices.length, 1);
    assert.ok(
      journal.notices[0]!.includes(
        `${segment.file}, bytes ${group.from} to ${group.to}: a group is not what was written; no queue is stopped`,
      ),
    );
  });

  it('stops a queue whose message lies in a damaged group and is damaged itself', async () => {
    const segment = sealed[1]!;
    const group = segment.groups[2]!;
    await journal.flip(segment.file, group.from + 44);
    await journal.flip(segment.file, firstRun(group) + 70);
    await lookAtAll();
    assert.deepEqual(stopped(), ['orders']);
  });

  it('finds what a truncated segment lacks', async () => {
    const segment = sealed.at(-1)!;
    const group = segment.groups[4]!;
    await journal.change(segment.file, (bytes) => bytes.subarray(0, group.from + 100));
    await lookAtAll();
    assert.deepEqual(stopped(), ['mail']);
  });

  it('tells of a segment that it can not read', async () => {
    await rm(journal.path(sealed[0]!.file));
    await lookAtAll();
    assert.equal(journal.notices.length, 1);
    assert.match(journal.notices[0]!, /it can't be read: ENOENT/);
  });

  it('looks at one segment at a time, in a circle', async () => {
    const broken = sealed.slice(0, 3);
    for (const { file, groups } of broken) await journal.flip(file, groups[0]!.from + 44);
    for (let looks = 1; looks <= 3; looks++) {
      await lookOnce();
      assert.equal(journal.notices.length, looks);
      assert.ok(journal.notices.at(-1)!.includes(broken[looks - 1]!.file));
    }
  });

  it('does not disturb work that goes on, and leaves when the store is closed', async () => {
    const publishing = journal.publish('mail', 80).then(() => journal.purge('mail'));
    for (let looks = 0; looks < 30; looks++) await lookOnce();
    await publishing;
    clock.ring();
    await journal.engine.close();
    assert.deepEqual(journal.damages, []);
    assert.deepEqual(journal.notices, []);
    assert.ok(!clock.waits(scrubIntervalMs));
  });
});
