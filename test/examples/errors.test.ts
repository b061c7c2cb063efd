/** docs/ERRORS.md and the union of codes agree. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

function codes(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), ([, code = '']) => code);
}

test('every code has a section with cause and remedy, in the order of the union', () => {
  const page = read('docs/ERRORS.md');
  const union = /export type ErrorCode =(.*?);\n/s.exec(read('src/api/errors.ts'))?.[1] ?? '';
  const known = codes(union, /^ {2}\| '(\w+)'/gm);
  assert.ok(known.length > 20);
  assert.deepEqual(codes(page, /^### (\w+)$/gm), known);
  for (const section of page.split(/^### /m).slice(1)) {
    assert.match(section, /^\w+\n\n\*\*Cause\.\*\* .+\n\*\*Remedy\.\*\* .+\n/, section.split('\n', 1)[0]);
  }
});

test('what a publish may reject with is told whether it is stored', () => {
  const table = /\| code \| stored\?.*?\n\n/s.exec(read('docs/ERRORS.md'))?.[0] ?? '';
  const promised = new Set(
    codes(read('src/api/queue.ts'), /@throws PostriderError (INVALID_PAYLOAD[^\n]*)/g).flatMap(
      (list) => list.match(/[A-Z_]{4,}/g) ?? [],
    ),
  );
  assert.ok(promised.size > 5);
  for (const code of promised) assert.match(table, new RegExp(`\\b${code}\\b`));
});
