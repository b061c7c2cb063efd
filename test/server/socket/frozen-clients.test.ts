import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import type { Pressure } from '../../../src/broker/index.ts';
import { FrozenClients, type Recipient } from '../../../src/server/socket/frozen-clients.ts';
import { OutputBudget } from '../../../src/server/socket/output-budget.ts';
import { Output } from '../../../src/server/socket/output.ts';
import { defaultAmqpSettings } from '../../../src/server/amqp/settings.ts';

test('what the system takes of a write shows before all of it is taken', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [accepted] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    client.destroy();
    accepted.destroy();
    server.close();
  });
  client.pause();
  const output = new Output(accepted, new OutputBudget(defaultAmqpSettings), () => undefined);
  const bytes = 64 * 1024 * 1024;
  output.write(Buffer.alloc(bytes), 0, bytes);
  output.flush();
  // Now the kernel is full.
  let before = -1;
  while (output.taken > before) {
    before = output.taken;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { unsent } = output;
  assert.ok(unsent > bytes / 2, `${unsent} bytes wait`);
  client.resume();
  while (output.taken === before) await new Promise((resolve) => setImmediate(resolve));
  client.pause();
  assert.equal(output.unsent, unsent, 'no write is done');
  assert.ok(output.taken < bytes);
});

interface Client {
  readonly output: { unsent: number; taken: number };
  readonly ended: boolean;
}

function clientOf(unsent: number): Client & Recipient {
  let ended = false;
  const client = {
    output: { unsent, taken: 0 },
    log: () => undefined,
    cut: () => void (ended = true),
    get ended() {
      return ended;
    },
  };
  return client;
}

test('only who takes next to nothing is ended, and only while others need the room', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { frozenAfterMs, maxUnsentBytes } = defaultAmqpSettings;
  const pressure = { lowOnMemory: false };
  const budget = new OutputBudget(defaultAmqpSettings);
  const [frozen, drop] = [clientOf(maxUnsentBytes), clientOf(maxUnsentBytes)];
  const [slow, small] = [clientOf(2 * maxUnsentBytes), clientOf(maxUnsentBytes - 1)];
  const clients = new FrozenClients(
    new Set([frozen, drop, slow, small]),
    defaultAmqpSettings,
    pressure as unknown as Pressure,
    budget,
  );
  clients.start();
  const ended = (): boolean[] => [frozen.ended, drop.ended, slow.ended, small.ended];
  t.mock.timers.tick(5 * frozenAfterMs);
  assert.deepEqual(ended(), [false, false, false, false], 'nobody needs the room');
  pressure.lowOnMemory = true;
  t.mock.timers.tick(frozenAfterMs);
  drop.output.taken += 1;
  slow.output.taken += 64 * 1024;
  assert.deepEqual(ended(), [false, false, false, false], 'one look shows nothing');
  t.mock.timers.tick(frozenAfterMs);
  assert.deepEqual(ended(), [true, true, false, false]);
  clients.stop();
});

test('no more are ended than it takes to have room', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { frozenAfterMs, maxUnsentBytes, maxUnsentBytesOfAll } = defaultAmqpSettings;
  const budget = new OutputBudget(defaultAmqpSettings);
  const frozen = Array.from({ length: 200 }, () => clientOf(maxUnsentBytes));
  const chunks = (200 * maxUnsentBytes) / (64 * 1024);
  for (let n = 0; n < chunks; n++) budget.take();
  const pressure = { lowOnMemory: false } as unknown as Pressure;
  const clients = new FrozenClients(new Set(frozen), defaultAmqpSettings, pressure, budget);
  clients.start();
  t.mock.timers.tick(2 * frozenAfterMs);
  const left = frozen.filter(({ ended }) => !ended).length;
  assert.equal(left, (0.75 * maxUnsentBytesOfAll) / maxUnsentBytes);
  clients.stop();
});
