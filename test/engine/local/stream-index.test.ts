import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EntryReader, EntryWriter } from '../../../src/engine/local/journal/directory.ts';
import { StreamIndex, StreamPage } from '../../../src/engine/local/stream-index.ts';

/** Parts of ten messages and a hundred bytes each, two milliseconds apart. */
function filled(parts: number): StreamIndex {
  const index = new StreamIndex();
  for (let part = 0; part < parts; part++) index.append(1 + 10 * part, 1000 + 2 * part, 100 * part, 999 + 2 * part);
  return index;
}

function written(index: StreamIndex): StreamIndex {
  const copy = new StreamIndex();
  for (const page of index.pages) {
    const writer = new EntryWriter();
    page.write(writer);
    copy.restore(StreamPage.read(new EntryReader(writer.buffer, 0, writer.length)));
  }
  return copy;
}

test('parts are found where they are, over pages, also when those before are gone and after a restart', () => {
  const index = filled(2_000);
  for (let gone = 0; gone <= 1_999; gone++) {
    assert.equal(index.size, 2_000 - gone);
    assert.deepEqual(
      [index.firstOf(0), index.storedAtOf(0), index.bytesOf(0), index.lastBeforeOf(0)],
      [1 + 10 * gone, 1000 + 2 * gone, 100 * gone, 999 + 2 * gone],
    );
    assert.equal(index.firstOf(index.size - 1), 19_991);
    index.dropFirst();
  }
  assert.equal(index.size, 0);
  index.append(5, 6, 7, 8);
  assert.deepEqual([index.size, index.firstOf(0)], [1, 5]);
  const copy = written(filled(1_300));
  assert.equal(copy.size, 1_300);
  assert.deepEqual([copy.firstOf(600), copy.storedAtOf(1_299)], [6_001, 3_598]);
  copy.append(13_001, 3_600, 130_000, 3_599);
  assert.equal(copy.firstOf(1_300), 13_001);
});

test('the last part that begins before a time is where what came at or after it is looked for', () => {
  const index = filled(1_200);
  for (let part = 0; part < 700; part++) index.dropFirst();
  assert.equal(index.before(0), 0);
  assert.equal(index.before(1000 + 2 * 700), 0);
  assert.equal(index.before(1001 + 2 * 700), 0);
  assert.equal(index.before(1000 + 2 * 701), 0);
  assert.equal(index.before(1001 + 2 * 701), 1);
  assert.equal(index.before(1000 + 2 * 1_100), 399);
  assert.equal(index.before(1e12), 499);
});

test('a page that is trimmed or grows is to be written anew', () => {
  const index = filled(600);
  for (const page of index.pages) page.stored = 'there';
  index.dropFirst();
  assert.ok(index.pages.every(({ stored }) => stored === 'there'));
  index.trim(15, 150);
  assert.deepEqual([index.firstOf(0), index.bytesOf(0), index.storedAtOf(0)], [15, 150, 1002]);
  index.append(6_001, 2_200, 60_000, 2_199);
  assert.deepEqual(
    index.pages.map(({ stored }) => stored),
    [null, null],
  );
});
