/** Texts that are written in one call lie where their lengths say, or are not taken to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TextRun } from '../../../src/api/embedded/text-run.ts';
import type { Outgoing } from '../../../src/api/link.ts';

/** Begins a run with the first of these, and says whether each of its texts can be read where it lies. */
function written(texts: readonly string[]): { count: number; isWritten: boolean } {
  const run = new TextRun();
  const messages = texts.map((body) => ({ message: { body } as Outgoing }));
  run.begin(messages, 0);
  const { count, isWritten, buffer } = run;
  let at = 0;
  for (const text of isWritten ? texts.slice(0, count) : []) {
    const read = buffer.toString('utf8', at, at + text.length);
    assert.ok(read === text, `'${text.slice(0, 9)}...' was written as '${read.slice(0, 9)}...'`);
    at += text.length;
  }
  return { count, isWritten };
}

test('a character that is cut off where the buffer ends makes no others pass for ASCII', () => {
  // 65,533 units, and as many bytes before the last character, which has no room.
  written(['ää', 'b'.repeat(65_529), '😀']);
  for (const last of ['😀', '€', 'ä', '\ud83d', 'a']) {
    for (let wide = 0; wide <= 4; wide++) {
      for (let plain = 65_520; plain <= 65_540; plain++) written(['ä'.repeat(wide), 'b'.repeat(plain), last]);
    }
  }
});

test('plain texts are written together, as many as have room', () => {
  assert.deepEqual(written(['a', 'b', 'c']), { count: 3, isWritten: true });
  assert.deepEqual(written(['a', 'b'.repeat(65_531)]), { count: 2, isWritten: true });
  assert.deepEqual(written(['a', 'b', 'c'.repeat(65_531)]), { count: 2, isWritten: true });
  assert.deepEqual(written(['a', 'ä']), { count: 2, isWritten: false });
});
