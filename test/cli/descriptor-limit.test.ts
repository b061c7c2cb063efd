import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { it } from 'node:test';
import { connectionsWithin, descriptorLimit } from '../../src/cli/descriptor-limit.ts';
import { postrider, scratch, withoutMqtt } from './postrider.ts';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';

it('connections leave the journal its descriptors', () => {
  assert.equal(connectionsWithin(20_000), 19_744);
  assert.equal(connectionsWithin(1024), 768);
  assert.equal(connectionsWithin(300), 150);
});

/** What a wait gives up with, so that its child is ended. */
const patience = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(120_000) });

const unknown = descriptorLimit() === undefined ? 'this system does not tell its limit of descriptors' : false;

it(
  'a flood of connections is refused where it would take them',
  { skip: unknown, timeout: 300_000 },
  async (context) => {
    let child: ChildProcessWithoutNullStreams | null = null;
    // Before its folder goes.
    context.after(async () => {
      if (child?.kill('SIGKILL') === true) await once(child, 'exit');
    });
    const data = await scratch();
    const args = [...postrider, 'serve', '--data', data, '--amqp-port', '0', ...withoutMqtt, '--json'];
    // exec: the process that listens is the one that is killed.
    child = spawn('/bin/sh', ['-c', 'ulimit -n 200 && exec "$@"', 'sh', ...args]);
    let told = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (told += text));
    const [line] = (await once(child.stdout.setEncoding('utf8'), 'data', patience())) as [string];
    const { ports } = JSON.parse(line) as { ports: { amqp: number } };
    const sockets: Socket[] = [];
    context.after(() => sockets.forEach((socket) => socket.destroy()));
    for (let index = 0; index < 150; index++) {
      sockets.push(connect(ports.amqp, '127.0.0.1').on('error', () => undefined));
    }
    while (!told.includes('connections are refused')) await once(child.stderr, 'data', patience());
  },
);
