import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join, relative } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { Connection } from 'rabbitmq-client';
import { version } from '../../src/version.ts';
import { run, scratch, start, withoutMqtt, type Finished, type Running } from './postrider.ts';

interface Listening {
  readonly event: string;
  readonly pid: number;
  readonly ports: { readonly amqp: number };
  readonly data: string;
  readonly version: string;
}

async function serve(
  context: TestContext,
  data: string,
  ...more: string[]
): Promise<Running & { listening: Listening }> {
  const running = start(['serve', '--data', data, '--amqp-port', '0', ...withoutMqtt, '--json', ...more]);
  context.after(() => running.child.kill('SIGKILL'));
  const listening = JSON.parse(await running.line()) as Listening;
  return { ...running, listening };
}

async function publish(port: number, queue: string, body: string): Promise<void> {
  const connection = new Connection({ port, retryLow: 50 });
  connection.on('error', () => undefined);
  const publisher = connection.createPublisher({ confirm: true, queues: [{ queue, durable: true }] });
  await publisher.send({ routingKey: queue, durable: true }, body);
  await publisher.close();
  await connection.close();
}

function assertComplaint({ code, stdout, stderr }: Finished, exitCode: number, line: RegExp): void {
  assert.match(stderr, line);
  assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
  assert.match(stderr, /^postrider: /);
  assert.equal(stdout, '');
  assert.equal(code, exitCode);
}

describe('serve', { timeout: 300_000 }, () => {
  it('says in JSON that it listens, and where', async (context) => {
    const data = join(await scratch(), 'data');
    const { listening, child, finished } = await serve(context, data);
    assert.deepEqual(listening, {
      event: 'listening',
      pid: child.pid,
      ports: { amqp: listening.ports.amqp },
      data,
      version,
    });
    assert.ok(listening.ports.amqp > 0);
    await publish(listening.ports.amqp, 'q', 'hello');
    child.kill('SIGTERM');
    const { code, stderr } = await finished;
    assert.equal(code, 0);
    assert.equal(stderr, '');
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`keeps what was confirmed over ${signal}`, async (context) => {
      const data = join(await scratch(), 'data');
      const first = await serve(context, data);
      await publish(first.listening.ports.amqp, 'q', signal);
      first.child.kill(signal);
      assert.equal((await first.finished).code, 0);

      const second = await serve(context, data);
      const connection = new Connection({ port: second.listening.ports.amqp });
      assert.equal((await connection.basicGet({ queue: 'q', noAck: true }))?.body, signal);
      await connection.close();
      second.child.kill('SIGKILL');
      await second.finished;
    });
  }

  it('serves from memory alone, with options from a file', async (context) => {
    const directory = await scratch();
    const config = join(directory, 'postrider.yaml');
    await writeFile(config, 'data: "memory:"\namqp-port: 1\njson: true\n');
    const running = start(['serve', '--config', config, '--amqp-port', '0', ...withoutMqtt]);
    context.after(() => running.child.kill('SIGKILL'));
    const { data, ports } = JSON.parse(await running.line()) as Listening;
    assert.equal(data, 'memory:');
    await publish(ports.amqp, 'q', 'hello');
    running.child.kill('SIGTERM');
    assert.equal((await running.finished).code, 0);
  });

  it('keeps to the limits that it is given', async (context) => {
    const { listening } = await serve(context, 'memory:', '--max-queues', '1', '--consumer-timeout', '0');
    const connection = new Connection({ port: listening.ports.amqp });
    const channel = await connection.acquire();
    await channel.queueDeclare('one');
    await assert.rejects(channel.queueDeclare('two'), /queue limit in vhost '\/' \(1\) is reached/);
    await connection.close();
  });

  it('stops with its parent when asked to', async (context) => {
    const { child, finished } = await serve(context, 'memory:', '--stop-with-parent');
    child.stdin?.end();
    assert.equal((await finished).code, 0);
  });

  it('tells a person that it listens, on one line', async (context) => {
    const running = start(['serve', '--data', 'memory:', '--amqp-port', '0', ...withoutMqtt]);
    context.after(() => running.child.kill('SIGKILL'));
    assert.match(await running.line(), /^postrider \S+: AMQP 0-9-1 on 127\.0\.0\.1:\d+, data in memory:/);
    running.child.kill('SIGINT');
    assert.equal((await running.finished).code, 0);
  });
});

describe('serve refuses in one line', { timeout: 300_000 }, () => {
  it('a port in use, and leaves no data directory', async (context) => {
    const data = join(await scratch(), 'data');
    const other = createServer();
    context.after(() => other.close());
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const finished = await run(['serve', '--data', data, '--amqp-port', String(port), ...withoutMqtt]);
    assertComplaint(finished, 4, new RegExp(`port ${port} is in use.*--amqp-port`));
    assert.equal(existsSync(data), false);
  });

  it('a directory that another process has open, naming it', async (context) => {
    const data = join(await scratch(), 'data');
    const { child } = await serve(context, data);
    const finished = await run(['serve', '--data', data, '--amqp-port', '0', ...withoutMqtt]);
    assertComplaint(finished, 3, new RegExp(`\\b${child.pid}\\b`));
    assert.ok(finished.stderr.includes(data));
  });

  it('a directory of something else, and leaves it alone', async () => {
    const data = await scratch();
    await writeFile(join(data, 'letters.txt'), 'Dear reader');
    assertComplaint(await run(['serve', '--data', data, '--amqp-port', '0', ...withoutMqtt]), 3, new RegExp(data));
    assert.deepEqual(await readdir(data), ['letters.txt']);
  });

  it('a directory that is a file', async () => {
    const data = join(await scratch(), 'data');
    await writeFile(data, 'Dear reader');
    const line = new RegExp(`${data} can't be used: it, or something above it, is a file: .*--data`);
    assertComplaint(await run(['serve', '--data', data, '--amqp-port', '0', ...withoutMqtt]), 3, line);
  });

  it('a directory whose marker is none', async () => {
    const data = await scratch();
    await mkdir(join(data, 'postrider'));
    const line = new RegExp(`${data}/postrider is not Postrider's`);
    assertComplaint(await run(['serve', '--data', data, '--amqp-port', '0', ...withoutMqtt]), 3, line);
    assert.deepEqual(await readdir(data), ['postrider']);
  });

  it('a damaged journal, with what to do and by its whole path', async (context) => {
    const data = join(await scratch(), 'data');
    const { child, finished } = await serve(context, data);
    child.kill('SIGTERM');
    await finished;
    const files = await readdir(data);
    for (const file of files) if (file.endsWith('.seg')) await rm(join(data, file));
    const left = await readdir(data);
    const line = new RegExp(`segment ${data}/\\S+ is missing.*nothing was changed; postrider inspect ${data} tells`);
    assertComplaint(await run(['serve', '--data', relative('', data), '--amqp-port', '0', ...withoutMqtt]), 3, line);
    assert.deepEqual(await readdir(data), left);
  });

  it('a directory that cannot be made', async () => {
    const file = join(await scratch(), 'letters.txt');
    await writeFile(file, 'Dear reader');
    assertComplaint(
      await run(['serve', '--data', join(file, 'data'), '--amqp-port', '0', ...withoutMqtt]),
      3,
      new RegExp(file),
    );
  });
});
