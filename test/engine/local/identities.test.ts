import assert from 'node:assert/strict';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Identity } from '../../../src/engine/engine.ts';
import { Identities } from '../../../src/engine/local/identities.ts';
import { IdPage, IdWindow } from '../../../src/engine/local/id-window.ts';
import { EntryReader, EntryWriter } from '../../../src/engine/local/journal/directory.ts';
import type { Journal } from '../../../src/engine/local/journal/journal.ts';
import { ManualClock } from '../../conformance/manual-clock.ts';
import { duplicate } from '../../conformance/fixture.ts';
import { crashing, small } from './crashing.ts';

const hash = (id: number): string => String(id).padStart(16, '0');

function known(window: IdWindow, from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, n) => from + n).filter(
    (id) => window.rememberedAt(hash(id)) !== undefined,
  );
}

test('a window keeps its newest ids, over many pages', () => {
  const window = new IdWindow();
  for (let id = 0; id < 5000; id++) {
    window.add(hash(id), 1000 + id, 1e6);
    window.forget(2000, 1000 + id);
  }
  assert.equal(window.size, 2000);
  assert.deepEqual(known(window, 0, 5000), known(window, 3000, 5000));
  assert.equal(window.rememberedAt(hash(4321)), 5321);
  assert.ok(window.pages.length <= 3, `${window.pages.length} pages`);
});

test('a window forgets what is old, a part at a time, and not what was remembered again', () => {
  const window = new IdWindow();
  for (let id = 0; id < 3000; id++) window.add(hash(id), 0, 100);
  window.add(hash(5), 60, 100);
  window.add(hash(9999), 60, 100);
  assert.equal(window.isOver(100), false);
  let rounds = 0;
  for (let before = -1; before !== window.size; rounds++) {
    before = window.size;
    window.forget(Infinity, 100);
  }
  assert.ok(rounds > 5, `${rounds} rounds`);
  assert.deepEqual(known(window, 0, 10_000), [5, 9999]);
  assert.ok(window.isOver(160));
});

test('a window is put together again from its pages', () => {
  const window = new IdWindow();
  for (let id = 0; id < 2500; id++) window.add(hash(id), id, 1e6);
  window.forget(1400, 0);
  window.add(hash(2000), 7777, 1e6);
  const again = new IdWindow();
  again.forMs = window.forMs;
  again.first = window.first;
  for (const page of window.pages) {
    const writer = new EntryWriter();
    page.write(writer);
    again.restore(IdPage.read(new EntryReader(writer.buffer, 0, writer.length)));
  }
  assert.equal(again.size, window.size);
  assert.deepEqual(known(again, 0, 2500), known(window, 0, 2500));
  assert.equal(again.rememberedAt(hash(2000)), 7777);
  for (const one of [window, again]) {
    one.add(hash(2500), 1, 1e6);
    one.forget(1000, 0);
  }
  assert.deepEqual(known(again, 0, 2501), known(window, 0, 2501));
});

test('what a message says of its own time is not taken for a delayed message', () => {
  const window = new IdWindow();
  window.add(hash(1), -5, 2 ** 50);
  const again = new IdWindow();
  again.forMs = window.forMs;
  for (const page of window.pages) again.restore(page);
  for (const one of [window, again]) {
    one.becameReady(-5, 7);
    assert.equal(one.rememberedAt(hash(1)), -5);
  }
  window.add(hash(2), -6, Infinity);
  window.becameReady(-6, 8);
  assert.equal(window.rememberedAt(hash(2)), 8);
});

test('ids that are remembered again and again behind one that lasts take no room each time', () => {
  const window = new IdWindow();
  window.add(hash(0), 1e9, 1e6);
  for (let now = 1; now <= 20_000; now++) {
    window.add(hash(1 + (now % 50)), now - 1e6 + 1, 1e6);
    window.forget(128, now);
  }
  assert.equal(window.size, 51);
  assert.ok(window.pages.length <= 3, `${window.pages.length} pages`);
  assert.equal(window.rememberedAt(hash(0)), 1e9);
  assert.equal(window.rememberedAt(hash(1)), 20_000 - 1e6 + 1);
  // They are in the order of their last time, the one that lasts before them.
  window.forget(10, 0);
  assert.deepEqual(known(window, 0, 52), [1, 42, 43, 44, 45, 46, 47, 48, 49, 50]);
});

test('long ids take no memory once they are judged', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const identities = new Identities(() => ({ clock: new ManualClock(), volatile: true }) as unknown as Journal);
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let n = 0; n < 500; n++) {
    const id = Buffer.alloc(100_000, `${n} `).toString('latin1');
    assert.equal(identities.judge({ kind: 'id', scope: 's', id, windowMs: 1, windowCount: 1 }), 'new');
    identities.remember({ kind: 'id', scope: 's', id, windowMs: 1, windowCount: 1 });
  }
  collect();
  const more = process.memoryUsage().heapUsed - before;
  assert.ok(more < 10_000_000, `${more} bytes are kept`);
});

test('scopes that are over are dropped, at a checkpoint and when there are many', () => {
  const clock = new ManualClock();
  const identities = new Identities(() => ({ clock, volatile: true }) as unknown as Journal);
  const publish = (scope: string): void => {
    const identity: Identity = { kind: 'id', scope, id: 'one', windowMs: 1000, windowCount: 10 };
    assert.equal(identities.judge(identity), 'new');
    identities.remember(identity);
    assert.notEqual(identities.judge(identity), 'new');
  };
  publish('a');
  void clock.advance(600);
  publish('b');
  void clock.advance(600);
  identities.forgetOld();
  assert.deepEqual([...identities.windows.keys()], ['b']);
  for (let n = 0; n < 5000; n++) {
    void clock.advance(1);
    publish(`scope ${n}`);
  }
  assert.ok(identities.windows.size < 2500, `${identities.windows.size} scopes`);
  publish('a');
});

const id = (n: number, windowMs = 1e9): Identity => ({
  kind: 'id',
  scope: 'orders',
  id: `id ${n}`,
  windowMs,
  windowCount: 1e6,
});

test('a checkpoint writes the ids that came since the last one, and recovery knows all of them', async (t) => {
  const { fixture, directory } = await crashing(t, { ...small, checkpointBytes: 1024 * 1024 * 1024 });
  let queue = await fixture.declare();
  const sizes: number[] = [];
  const count = 6000;
  for (let n = 0; n < count; n += 500)
    await fixture.fill(queue, ...Array.from({ length: 500 }, (_, at) => ({ body: 'x', identity: id(n + at) })));
  for (let round = 0; round < 3; round++) {
    await fixture.reopen();
    queue = fixture.queue(queue.key);
    await fixture.fill(queue, { body: 'x', identity: id(count + round) });
    sizes.push(await newestCheckpoint(directory()));
  }
  assert.ok(sizes[0]! > count * 24, 'all of them');
  assert.ok(sizes[2]! < sizes[0]! / 2, `${sizes.join(', ')}: the newest page alone`);
  await fixture.crash();
  queue = fixture.queue(queue.key);
  const all = Array.from({ length: count + 3 }, (_, n) => n);
  assert.deepEqual(
    await fixture.publish(queue, ...all.map((n) => ({ body: 'x', identity: id(n) }))),
    all.map((n) => duplicate(n)),
  );
});

async function newestCheckpoint(directory: string): Promise<number> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.ckpt')).sort();
  return (await stat(join(directory, names[names.length - 1]!))).size;
}
