import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DelayedMessages } from '../../../src/engine/local/delayed-messages.ts';
import { DelayedPage } from '../../../src/engine/local/delayed-page.ts';
import { EntryReader, EntryWriter } from '../../../src/engine/local/journal/directory.ts';

interface Message {
  readonly dueAt: number;
  readonly priority: number;
  segment: number;
  offset: number;
  readonly expires: boolean;
  readonly bytes: number;
}

function found(messages: DelayedMessages, number: number): Message | null {
  if (!messages.find(number)) return null;
  const page = messages.page!;
  const { at } = messages;
  return {
    dueAt: page.dueAtOf(at),
    priority: page.priorityOf(at),
    segment: page.segmentOf(at),
    offset: page.offsetOf(at),
    expires: page.expires(at),
    bytes: page.bytesOf(at),
  };
}

/** As a checkpoint keeps it: the pages as they were when they were written last, and what is gone of them now. */
class Kept {
  readonly #stored = new Map<unknown, Buffer>();

  through(messages: DelayedMessages): DelayedMessages {
    const manifest = new EntryWriter();
    const pointers: number[] = [];
    for (const page of messages.pages) {
      if (page.stored === null) {
        const block = new EntryWriter();
        page.write(block);
        page.stored = this.#stored.size + 1;
        this.#stored.set(page.stored, Buffer.from(block.buffer.subarray(0, block.length)));
      }
      pointers.push(page.stored as number);
      page.writeGone(manifest);
    }
    const restored = new DelayedMessages();
    restored.next = messages.next;
    const reader = new EntryReader(manifest.buffer, 0, manifest.length);
    for (const pointer of pointers) {
      const block = this.#stored.get(pointer)!;
      const page = DelayedPage.read(new EntryReader(block, 0, block.length));
      page.stored = pointer;
      page.readGone(reader);
      restored.restore(page);
    }
    assert.ok(reader.done);
    return restored;
  }
}

const message = fc.record<Message>({
  dueAt: fc.integer({ min: 1, max: 2 ** 52 }),
  priority: fc.nat(255),
  segment: fc.integer({ min: 1, max: 0xffff_ffff }),
  offset: fc.integer({ min: 0, max: 0x1fff_ffff }).map((n) => 8 * n),
  expires: fc.boolean(),
  bytes: fc.nat(128 * 1024 * 1024),
});
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('append' as const), message, times: fc.nat(40) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('remove' as const), at: fc.nat(), times: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('move' as const), at: fc.nat(), message }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
);

test('what waits is found by its number, whatever went before, also when it was written and read', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150, size: 'max' }), (steps) => {
      let messages = new DelayedMessages();
      const expected = new Map<number, Message>();
      const kept = new Kept();
      const append = ({ dueAt, priority, segment, offset, expires, bytes }: Message): number =>
        messages.append(dueAt, priority, segment, offset, expires, bytes);
      for (const one of steps) {
        const numbers = [...expected.keys()];
        switch (one.kind) {
          case 'append':
            for (let n = 0; n <= one.times; n++) expected.set(append(one.message), { ...one.message });
            break;
          case 'remove':
            for (let n = 0; n <= one.times && numbers.length > 0; n++) {
              const [number] = numbers.splice((one.at + 31 * n) % numbers.length, 1);
              assert.ok(messages.find(number!));
              messages.remove();
              expected.delete(number!);
            }
            break;
          case 'move': {
            const number = numbers[one.at % numbers.length];
            if (number === undefined) break;
            const { segment, offset } = one.message;
            messages.find(number);
            messages.page!.relocate(messages.at, segment, offset);
            Object.assign(expected.get(number)!, { segment, offset });
            break;
          }
          case 'restart':
            messages = kept.through(messages);
            break;
        }
        assert.equal(messages.count, expected.size);
      }
      for (let number = 0; number <= messages.next; number++)
        assert.deepEqual(found(messages, number), expected.get(number) ?? null, `number ${number}`);
      const alive = messages.pages.flatMap((page) =>
        Array.from({ length: page.size }, (_, at) => (page.isGone(at) ? 0 : page.numberOf(at))).filter(Boolean),
      );
      assert.deepEqual(
        alive,
        [...expected.keys()].sort((a, b) => a - b),
      );
      assert.ok(messages.pages.every((page) => page.alive > 0 && (page.size < 32 || page.alive * 4 > page.size)));
    }),
    { numRuns: 100 },
  );
});

test('a page is written once, and again when little of it is left', () => {
  const messages = new DelayedMessages();
  for (let n = 0; n < 512; n++) messages.append(n, 0, 1, 8 * n, false, 10);
  const [page] = messages.pages;
  page!.stored = 'written';
  for (let number = 1; number <= 300; number++) {
    messages.find(number);
    messages.remove();
  }
  assert.equal(page!.stored, 'written');
  for (let number = 301; number <= 400; number++) {
    messages.find(number);
    messages.remove();
  }
  assert.equal(page!.stored, null);
  assert.equal(page!.size, 128);
});

test('what is left here and there does not keep a page each', () => {
  const messages = new DelayedMessages();
  const count = 100_000;
  for (let n = 0; n < count; n++) messages.append(n, 0, 1, 8, false, 10);
  for (let number = 1; number <= count; number++) {
    if (number % 1000 === 0) continue;
    messages.find(number);
    messages.remove();
  }
  assert.equal(messages.count, 100);
  assert.ok(messages.pages.length < 10, `${messages.pages.length} pages`);
});

test('a number that is none of a message finds nothing', () => {
  const messages = new DelayedMessages();
  const [a] = [1, 2, 3].map((dueAt) => messages.append(dueAt, 0, 1, 0, false, 1));
  for (const number of [a! + 0.5, a! - 0.5, NaN, Infinity]) assert.equal(messages.find(number), false, `${number}`);
  assert.equal(messages.find(a!), true);
});
