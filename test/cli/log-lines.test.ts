import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { LogLines } from '../../src/cli/log-lines.ts';
import { queueDeclare } from '../../src/wire/amqp/queue-methods.ts';
import { channelCloseOk, channelOpen } from '../../src/wire/amqp/channel-methods.ts';
import { RawClient, declaration } from '../server/amqp/raw-client.ts';
import { postrider, withoutMqtt } from './postrider.ts';

/** A stream whose reader takes a line when it is told to. */
class Reader extends Writable {
  readonly lines: string[] = [];
  #take: (() => void) | null = null;

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.lines.push(chunk.toString());
    this.#take = done;
  }

  async takeAll(): Promise<void> {
    while (this.writableLength > 0) {
      this.#take?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

test('lines that nobody reads are left out, and how many is told', async () => {
  const reader = new Reader();
  const { say } = new LogLines(reader);
  for (let n = 0; n < 10_000; n++) say(`line ${n} ${'x'.repeat(90)}`);
  assert.ok(reader.writableLength < 70_000, `${reader.writableLength} bytes wait`);
  await reader.takeAll();
  const { length } = reader.lines;
  say('again');
  await reader.takeAll();
  assert.deepEqual(reader.lines.slice(length), [
    `postrider: ${10_000 - length} lines were left out here, since nobody read standard error\n`,
    'postrider: again\n',
  ]);
});

test('a reader that is gone is no failure', async () => {
  const reader = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) });
  const { say } = new LogLines(reader);
  say('one');
  await new Promise((resolve) => reader.once('close', resolve));
  say('two');
});

test('a broker whose standard error nobody reads goes on', { timeout: 300_000 }, async (t) => {
  const [program = '', ...first] = postrider;
  const args = [...first, 'serve', '--data', 'memory:', '--amqp-port', '0', ...withoutMqtt, '--json'];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { ports } = JSON.parse(line.toString()) as { ports: { amqp: number } };
  const client = await RawClient.open(ports.amqp);
  t.after(() => client.end());
  const args404 = { ...declaration, queue: 'q'.repeat(200), passive: true };
  // Each error of a channel is a line: far more than a pipe holds.
  for (let n = 0; n < 2_000; n++) {
    client.send(channelOpen.frame(2, {}), queueDeclare.frame(2, args404));
    await client.expect('channel.open_ok');
    await client.expect('channel.close');
    client.send(channelCloseOk.frame(2, {}));
  }
  await client.declare('still-here');
});
