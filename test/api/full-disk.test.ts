/** What waits until an embedded disk has space, and who need not wait. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { EmbeddedLink } from '../../src/api/embedded/embedded-link.ts';
import { EmbeddedMq } from '../../src/api/embedded-mq.ts';
import { connect } from '../../src/index.ts';
import { openLocal } from '../../src/engine/local/index.ts';
import { small } from '../engine/local/crashing.ts';
import { FullDisk } from '../engine/local/journal/full-disks.ts';
import { rejects, settledTo, sleep, until } from './bench.ts';

/** An embedded broker whose disk can be full. */
async function openOn(context: TestContext, files: FullDisk): Promise<EmbeddedMq> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-full-'));
  const log = (): void => undefined;
  const mq = new EmbeddedMq(log);
  await mq.begin(async (events) => {
    const link = await EmbeddedLink.open(openLocal(directory, { ...small, files }), events, log);
    mq.broker = link.broker;
    return link;
  });
  context.after(async () => {
    await mq.close();
    await rm(directory, { recursive: true, force: true });
  });
  return mq;
}

it('a redrive that is aborted does not wait until the disk has space', { timeout: 300_000 }, async (context) => {
  const disk = new FullDisk();
  const mq = await openOn(context, disk);
  const queue = await mq.queue<string>('orders');
  const dead = queue.deadLetters!;
  await dead.publishAll(['x'.repeat(30_000), 'y'.repeat(30_000), 'z'.repeat(30_000)]);
  disk.full = true;
  const controller = new AbortController();
  const reason = new Error('enough');
  const redriving = rejects(dead.redrive({ signal: controller.signal }), 'ABORTED');
  let before = -1;
  // It waits.
  await until('nothing more is moved', async () => {
    const { ready } = await queue.stats();
    await sleep(100);
    const isStill = ready === before;
    before = ready;
    return isStill;
  });
  assert.ok(before < 3, `${before} of 3`);
  controller.abort(reason);
  const { moved, cause } = await redriving;
  assert.equal(cause, reason);
  // While the disk is still full.
  await settledTo(dead, 3 - moved!);
  await settledTo(queue, moved!);
  disk.full = false;
  assert.equal(await dead.redrive(), 3 - moved!);
  await settledTo(queue, 3);
});

it(
  'a publish over the network waits for space, and is not told that its queue is full',
  { timeout: 300_000 },
  async (context) => {
    const disk = new FullDisk();
    const mq = await openOn(context, disk);
    const queue = await mq.queue<string>('orders', { maxLength: 1_000 });
    const { amqp } = await mq.listen({ amqp: { port: 0 } });
    const other = await connect(`amqp://127.0.0.1:${amqp!.port}`);
    context.after(() => other.close());
    const there = await other.queue<string>('orders', { maxLength: 1_000 });
    const blocked = new Set<string>();
    mq.on('blocked', () => blocked.add('here'));
    other.on('blocked', () => blocked.add('there'));
    disk.full = true;
    const fills = Array.from({ length: 4 }, (_, index) => queue.publish(`${index}`.repeat(20_000)));
    await until('the disk is full', () => blocked.has('here'));
    let told = 'nothing';
    const publish = there.publish('there'.repeat(4_000)).then(
      () => (told = 'stored'),
      (error: unknown) => (told = String(error)),
    );
    await until('the publisher is told', () => blocked.has('there'));
    await sleep(100);
    assert.equal(told, 'nothing');
    disk.full = false;
    await Promise.all([...fills, publish]);
    assert.equal(told, 'stored');
  },
);

it('what is aborted while it waits for space is never stored', { timeout: 300_000 }, async (context) => {
  const disk = new FullDisk();
  const mq = await openOn(context, disk);
  const queue = await mq.queue<string>('orders');
  let blocked = false;
  mq.on('blocked', () => (blocked = true));
  disk.full = true;
  const fills = Array.from({ length: 4 }, (_, index) => queue.publish(`${index}`.repeat(20_000)));
  await until('the disk is full', () => blocked);
  const stop = new AbortController();
  const { signal } = stop;
  const aborted = [
    rejects(queue.publish('one', { signal }), 'ABORTED'),
    rejects(queue.publishAll(['two', 'three'], { signal }), 'ABORTED'),
    rejects(queue.request('four', { signal }), 'ABORTED'),
    rejects(queue.publish('five', { signal: AbortSignal.timeout(20) }), 'ABORTED'),
  ];
  const last = queue.publish('last');
  await sleep(20);
  stop.abort();
  await Promise.all(aborted);
  disk.full = false;
  let stored = false;
  void Promise.all([...fills, last]).then(() => (stored = true));
  await until('the others are stored', () => stored);
  await settledTo(queue, fills.length + 1);
});

it('a publish that waits for space keeps its process alive', { timeout: 300_000 }, async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-full-'));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const program = join(import.meta.dirname, 'full-disk-publisher.ts');
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', program, directory]);
  assert.equal(stdout, 'stored 100\n');
});
