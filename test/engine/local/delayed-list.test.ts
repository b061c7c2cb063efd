/** Delayed messages are listed page by page from the disk, while they become due, are cancelled and moved. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { SegmentReader } from '../../../src/engine/local/backlog-reader.ts';
import { listDelayed } from '../../../src/engine/local/delayed-list.ts';
import { segmentName } from '../../../src/engine/local/journal/segment-file.ts';
import type { LocalQueue } from '../../../src/engine/local/queue.ts';
import { Window } from '../../../src/engine/local/window.ts';
import { crashing } from './crashing.ts';

/** What happens to message `number` while it is read; what it gives back is what was read. */
type Meanwhile = (number: number, queue: LocalQueue) => Buffer | null | undefined;

interface Listing {
  readonly queue: LocalQueue;
  /** Numbers of at most `limit`, of which all are read from the disk. */
  list(limit: number, meanwhile: Meanwhile): Promise<number[]>;
}

async function tenDelayed(t: TestContext): Promise<Listing> {
  const { fixture, directory } = await crashing(t);
  const queue = (await fixture.declare()) as LocalQueue;
  const dueAt = fixture.now() + 600_000;
  await fixture.publish(queue, ...Array.from({ length: 10 }, (_, at) => ({ body: `${at}`, dueAt })));
  const places = new Map<string, number>();
  const { messages } = queue.delayed;
  for (let number = 1; number <= 10; number++) {
    assert.ok(messages.find(number));
    places.set(`${messages.page!.segmentOf(messages.at)} ${messages.page!.offsetOf(messages.at)}`, number);
  }
  const list = async (limit: number, meanwhile: Meanwhile): Promise<number[]> => {
    const reader = {
      read: async (segment: number, offset: number, length: number) => {
        assert.ok(Number.isSafeInteger(length), 'so much can be read');
        const bytes = await readFile(join(directory(), segmentName(segment)));
        const number = places.get(`${segment} ${offset}`)!;
        return meanwhile(number, queue) ?? bytes.subarray(offset, offset + length);
      },
    } as unknown as SegmentReader;
    const found = await listDelayed(queue, 0, limit, new Window(0), reader);
    return found.map(({ number }) => number);
  };
  return { queue, list };
}

test('a page is full though messages went while it was read', async (t) => {
  const { list } = await tenDelayed(t);
  const meanwhile: Meanwhile = (number, queue) => {
    if (number === 1) for (const gone of [2, 3]) queue.delayed.cancel(gone);
    return null;
  };
  assert.deepEqual(await list(4, meanwhile), [1, 4, 5, 6]);
  assert.deepEqual(await list(100, () => null), [1, 4, 5, 6, 7, 8, 9, 10]);
});

test('what went with its segment is passed over; what can not be read, and lies there, is told', async (t) => {
  const { list } = await tenDelayed(t);
  const failing =
    (goes: boolean): Meanwhile =>
    (number, queue) => {
      if (number !== 2) return null;
      if (goes) queue.delayed.cancel(2);
      throw Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' });
    };
  await assert.rejects(list(3, failing(false)), { code: 'ENOENT' });
  assert.deepEqual(await list(3, failing(true)), [1, 3, 4]);
});

test('a place behind which the file ends is passed over', async (t) => {
  const { list } = await tenDelayed(t);
  assert.deepEqual(await list(3, (number) => (number === 2 ? Buffer.alloc(10) : null)), [1, 3, 4]);
});

test('what is moved while it is read is listed from where it lies then', async (t) => {
  const { queue, list } = await tenDelayed(t);
  const { messages } = queue.delayed;
  assert.ok(messages.find(3));
  const segment = messages.page!.segmentOf(messages.at);
  const offset = messages.page!.offsetOf(messages.at);
  messages.page!.relocate(messages.at, segment, 0);
  const found = await list(4, (number) => {
    if (number !== undefined || !messages.find(3)) return null;
    messages.page!.relocate(messages.at, segment, offset);
    return null;
  });
  assert.deepEqual(found, [1, 2, 3, 4]);
});
