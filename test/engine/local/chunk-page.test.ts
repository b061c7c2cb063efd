import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkList } from '../../../src/engine/local/chunk-list.ts';
import { ChunkPage } from '../../../src/engine/local/chunk-page.ts';
import { EntryReader, EntryWriter } from '../../../src/engine/local/journal/directory.ts';

type Chunk = readonly [first: number, count: number, segment: number, offset: number];

function chunksOf(page: ChunkPage): Chunk[] {
  return Array.from({ length: page.size }, (_, chunk) => [
    page.firstOf(chunk),
    page.countOf(chunk),
    page.segmentOf(chunk),
    page.offsetOf(chunk),
  ]);
}

function copy(page: ChunkPage): ChunkPage {
  const writer = new EntryWriter();
  writer.u8(1);
  page.write(writer);
  return ChunkPage.read(new EntryReader(writer.buffer, 1, writer.length - 1));
}

function bytesOf(page: ChunkPage): number {
  const writer = new EntryWriter();
  page.write(writer);
  return writer.length;
}

const step = fc.record({
  gap: fc.oneof({ weight: 20, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 5000 })),
  count: fc.oneof({ weight: 20, arbitrary: fc.constant(1) }, fc.integer({ min: 1, max: 100_000 })),
  segments: fc.oneof({ weight: 20, arbitrary: fc.integer({ min: 0, max: 2 }) }, fc.integer({ min: -5, max: 2000 })),
  offset: fc.oneof(
    { weight: 20, arbitrary: fc.integer({ min: 0, max: 0x3f_ffff }).map((n) => 8 * n) },
    fc.integer({ min: 0, max: 0xffff_ffff }),
  ),
});

test('a page says where each chunk lies, whatever lies in it, also when it was written and read', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: 'max' }), fc.nat(400), (steps, copiedAt) => {
      let page = new ChunkPage(7);
      const expected: Chunk[] = [];
      let [number, segment, alive] = [7, 10, 0];
      for (const [at, { gap, count, segments, offset }] of steps.entries()) {
        number += gap;
        segment = Math.max(1, segment + segments);
        page.append(number, count, segment, offset);
        expected.push([number, count, segment, offset]);
        number += count;
        alive += count;
        if (at !== copiedAt) continue;
        page = copy(page);
        page.alive = alive;
      }
      assert.deepEqual(chunksOf(page), expected);
      assert.deepEqual(chunksOf(copy(page)), expected);
      assert.equal(page.end, number);
      assert.equal(page.alive, alive);
    }),
    { numRuns: 60 },
  );
});

test('single messages that follow each other take four bytes each', () => {
  const page = new ChunkPage(1);
  for (let n = 1; n <= 200; n++) page.append(n, 1, 3 + Math.floor(n / 7), 64 + 8 * n);
  assert.equal(bytesOf(page), 24 + 4 * 200);
  page.append(201, 2, 40, 64);
  assert.equal(bytesOf(page), 24 + 16 * 201);
});

test('a list finds chunks in pages of both kinds, and what was moved', () => {
  const list = new ChunkList();
  const at = new Map<number, Chunk>();
  let number = 1;
  for (let n = 0; n < 2000; n++) {
    const chunk: Chunk = [number, n % 700 > 600 ? 3 : 1, 1 + Math.floor(n / 100), 64 + 8 * n];
    list.append(...chunk);
    for (let one = number; one < number + chunk[1]; one++) at.set(one, chunk);
    number += chunk[1];
  }
  for (let moved = 1; moved < number; moved += 37) {
    const [first, count] = at.get(moved)!;
    const piece: Chunk = [first, count, 50, 8 * moved];
    list.relocate(first, [piece]);
    for (let one = first; one < first + count; one++) at.set(one, piece);
  }
  const cursor = { page: null as ChunkPage | null, chunk: 0 };
  for (const [one, [first, count, segment, offset]] of at) {
    assert.ok(list.seek(one, cursor));
    const page = cursor.page!;
    assert.deepEqual(
      [
        page.firstOf(cursor.chunk),
        page.countOf(cursor.chunk),
        page.segmentOf(cursor.chunk),
        page.offsetOf(cursor.chunk),
      ],
      [first, count, segment, offset],
    );
  }
});
