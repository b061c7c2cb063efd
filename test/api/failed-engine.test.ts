/** An embedded engine whose disk fails: it closes, rejects what is pending, tells, and the application lives. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { createConnection, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { EmbeddedLink } from '../../src/api/embedded/embedded-link.ts';
import { EmbeddedMq } from '../../src/api/embedded-mq.ts';
import { openLocal } from '../../src/engine/local/index.ts';
import { type DiskFile, DiskFiles } from '../../src/engine/local/journal/disk-files.ts';
import type { OpenMode } from '../../src/engine/local/journal/files.ts';
import { connect, type PostriderError } from '../../src/index.ts';
import { rejects, sleep, take, until } from './bench.ts';

class FailingDisk extends DiskFiles {
  broken = false;

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const file = await super.open(path, mode);
    const append = file.append.bind(file);
    file.append = (bytes, offset, length, position, sync, done) => {
      if (!this.broken) append(bytes, offset, length, position, sync, done);
      else setImmediate(done, Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO' }));
    };
    return file;
  }
}

async function openOn(context: TestContext, files: DiskFiles): Promise<{ mq: EmbeddedMq; directory: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-api-'));
  const log = (): void => undefined;
  const mq = new EmbeddedMq(log);
  await mq.begin(async (events) => {
    const link = await EmbeddedLink.open(openLocal(directory, { files }), events, log);
    mq.broker = link.broker;
    return link;
  });
  context.after(() => rm(directory, { recursive: true, force: true }));
  return { mq, directory };
}

it('an engine that fails rejects what is pending, tells, and leaves the application alive', async (context) => {
  const disk = new FailingDisk();
  const { mq, directory } = await openOn(context, disk);
  const queue = await mq.queue<number>('orders');
  await queue.publish(1);
  const asked = await mq.queue<number>('asked');
  let handled = 0;
  const consumer = await queue.consume(
    async () => {
      handled += 1;
      await sleep(1);
    },
    { concurrency: 2 },
  );
  await until('it was handled', async () => handled === 1 && (await queue.stats()).unacked === 0);
  const failures: PostriderError[] = [];
  mq.on('failed', (error) => failures.push(error));

  const loop = (async () => {
    for await (const { payload } of asked.messages()) assert.equal(payload, 1);
  })().then(
    () => 'ended',
    (error: unknown) => (error as PostriderError).code,
  );
  disk.broken = true;
  const request = asked.request(1).catch((error: unknown) => error as PostriderError);
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      queue.publish(index + 2).then(
        () => 'stored',
        (error: unknown) => (error as PostriderError).code,
      ),
    ),
  );
  assert.deepEqual(new Set(answers), new Set(['UNKNOWN_OUTCOME']));
  assert.ok(['UNKNOWN_OUTCOME', 'ENGINE_FAILED'].includes(((await request) as PostriderError).code));
  await until('it was told', () => failures.length === 1);
  assert.equal(failures[0]!.code, 'ENGINE_FAILED');
  assert.match(failures[0]!.message, /EIO/);
  assert.ok(['ENGINE_FAILED', 'UNKNOWN_OUTCOME'].includes(await loop));
  await rejects(consumer.closed, 'ENGINE_FAILED');

  await rejects(queue.publish(0), 'ENGINE_FAILED');
  await rejects(queue.stats(), 'ENGINE_FAILED');
  await rejects(queue.purge(), 'ENGINE_FAILED');
  await rejects(mq.queue('more'), 'ENGINE_FAILED');
  await rejects(
    queue.consume(() => undefined),
    'ENGINE_FAILED',
  );
  await consumer.close();
  await mq.close();
  assert.equal(failures.length, 1);

  // The directory is free again, and what was confirmed is there.
  await using again = await connect(`file:${directory}`, { log: () => undefined });
  const there = await again.queue<number>('orders');
  await there.publish(1_000);
  const { ready } = await there.stats();
  const payloads = (await take(there, ready)).map(({ payload }) => payload);
  assert.ok(payloads.includes(1_000));
});

it('an engine that fails ends what waits: requests, its server, and handlers by their signals', async (context) => {
  const lines = context.mock.method(console, 'error', () => undefined).mock;
  const disk = new FailingDisk();
  const { mq } = await openOn(context, disk);
  const { amqp } = await mq.listen({ amqp: { port: 0 } });
  const queue = await mq.queue<number>('asked');
  const asked = rejects(queue.request(1), 'UNKNOWN_OUTCOME', /may have been handled/);
  let why: unknown = null;
  const consumer = await queue.consume(async (_payload, { signal }) => {
    signal.addEventListener('abort', () => {
      why = signal.reason;
    });
    await new Promise(() => undefined);
  });
  await until('a handler runs', async () => (await queue.stats()).unacked === 1);
  await sleep(10);
  disk.broken = true;
  await rejects(queue.publish(2), 'UNKNOWN_OUTCOME');
  await asked;
  await rejects(consumer.closed, 'ENGINE_FAILED');
  await until('the handler was told', () => why !== null);
  assert.equal((why as PostriderError).code, 'ENGINE_FAILED');
  // Once, and not for its consumers too.
  assert.equal(lines.callCount(), 1);
  assert.match(String(lines.calls[0]!.arguments[0]), /^postrider: the engine failed/);
  await until('nobody listens', async () => {
    const socket = createConnection(amqp!.port, '127.0.0.1');
    const refused = await new Promise<boolean>((resolve) => {
      socket.on('connect', () => resolve(false)).on('error', () => resolve(true));
    });
    socket.destroy();
    return refused;
  });
  await mq.close({ graceMs: 10 });
});

it('a directory is one process’s alone, and says whose', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-api-'));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const log = (): void => undefined;
  const first = await connect(`file:${directory}`, { log });
  await rejects(connect(`file:${directory}`, { log }), 'DATA_LOCKED', new RegExp(String(process.pid)));
  await first.close();
  const second = await connect(`file:${directory}`, { log });
  await second.close();
});

it('a directory that is no data directory, or can not be one, is refused', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-api-'));
  context.after(() => rm(directory, { recursive: true, force: true }));
  await rejects(connect(`file:${join('/dev/null', 'data')}`), 'DATA_UNWRITABLE');
  await writeFile(join(directory, 'postrider'), 'postrider journal 99\n');
  await rejects(connect(`file:${directory}`), 'DATA_NEWER', /format 99/);
  await writeFile(join(directory, 'postrider'), 'something else');
  await rejects(connect(`file:${directory}`), 'DATA_FOREIGN');
  await rejects(connect('file:'), 'INVALID_URL');
  await rejects(connect('memory:x'), 'INVALID_URL');
  await rejects(connect('./data'), 'INVALID_URL', /file:\.\/data/);
  await rejects(connect('memory:', { name: 'x' }), 'INVALID_OPTION', /amqp/);
  await rejects(connect(7 as unknown as string), 'INVALID_URL');
});

it('what was published is there after a close, in its order', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-api-'));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const log = (): void => undefined;
  {
    await using mq = await connect(`file:${directory}`, { log });
    const queue = await mq.queue<number>('kept');
    await queue.publishAll([1, 2, 3]);
    const topic = mq.topic<string>('a.b');
    await (await topic.subscribe('subscriber')).publish('direct');
  }
  await using mq = await connect(`file:${directory}`, { log });
  const got = await take(await mq.queue<number>('kept'), 3);
  assert.deepEqual(
    got.map(({ payload }) => payload),
    [1, 2, 3],
  );
  await mq.topic<string>('a.b').publish('by topic');
  assert.equal((await (await mq.queue('subscriber')).stats()).ready, 2);
});

it('data that is damaged where it can not be passed over is refused', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-api-'));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const log = (): void => undefined;
  {
    await using mq = await connect(`file:${directory}`, { log });
    await (await mq.queue<number>('kept')).publishAll([1, 2, 3]);
  }
  for (const name of await readdir(directory)) {
    if (/checkpoint|\.seg$/.test(name)) await truncate(join(directory, name), 10);
  }
  await rejects(connect(`file:${directory}`, { log }), 'DATA_CORRUPT');
});

it('listens on loopback, on a port that is free', async () => {
  await using mq = await connect('memory:', { log: () => undefined });
  const { amqp } = await mq.listen({ amqp: { port: 0 } });
  await rejects(mq.listen({ amqp: { port: amqp!.port } }), 'REFUSED', /taken/);
  await rejects(mq.listen({ amqp: { host: '192.0.2.1', port: 0 } }), 'REFUSED', /192\.0\.2\.1/);
  await rejects(mq.listen({}), 'INVALID_OPTION');
  await rejects(mq.listen({ amqp: { port: 70_000 } }), 'INVALID_OPTION');
  await rejects(
    mq.listen({ amqp: { prot: 0 } as object }),
    'INVALID_OPTION',
    /amqp has no option 'prot'; did you mean 'port'/,
  );
  await rejects(mq.listen({ amqp: [] as object }), 'INVALID_OPTION');
});

it('leaves no server behind that was asked for when it closed', async (context) => {
  const log = (): void => undefined;
  const servers: Server[] = [];
  const listen = Server.prototype.listen as (this: Server, ...args: unknown[]) => Server;
  context.mock.method(Server.prototype, 'listen', function (this: Server, ...args: unknown[]): Server {
    servers.push(this);
    return listen.apply(this, args);
  });
  for (const whenMs of [-1, 0, 1]) {
    const mq = await connect('memory:', { log });
    let closed: Promise<void> | null = whenMs === -1 ? mq.close() : null;
    const listening = rejects(mq.listen({ amqp: { port: 0 } }), 'CLOSED').catch(() => undefined);
    if (whenMs === 1) await sleep(whenMs);
    closed ??= mq.close();
    await Promise.all([listening, closed]);
  }
  assert.ok(servers.every((server) => !server.listening));
});
