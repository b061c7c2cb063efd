/** How long a connection that the server ends stays, so that its client sees why. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { test } from 'node:test';
import { startTarget } from './broker.ts';
import { connect, decode, publish } from './packet.ts';

const silentCloseDelayMs = 1_000;
const { port, own } = await startTarget({ settings: { silentCloseDelayMs, receiveMaximum: 1 } });
const skip = own === null ? 'the delay is a setting of ours' : false;

/** Has more publishes on the way than it may, and does not read. */
async function offender(): Promise<Socket> {
  const socket = connectSocket({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.pause();
  const twice = [1, 2].map((id) => publish(5, 'topic', 'm', { qos: 2, id }));
  socket.write(Buffer.concat([connect(5, { clientId: 'offender' }), ...twice]));
  return socket;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('one that still sends reads why its connection ends, later', { skip }, async () => {
  const socket = await offender();
  for (let i = 0; i < 15; i++) {
    await pause(silentCloseDelayMs / 10);
    socket.write(publish(5, 'topic', 'x'));
  }
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).resume();
  await new Promise((resolve) => socket.on('end', resolve).on('close', resolve));
  const received = Buffer.concat(chunks);
  const last = decode(received.subarray(received.lastIndexOf(0xe0)), 5);
  assert.deepEqual([last?.type, last?.reason], ['disconnect', 0x93]);
  socket.destroy();
});

test('one that sends for ever is cut all the same', { skip, timeout: 300_000 }, async () => {
  const socket = await offender();
  const closed = new Promise((resolve) => socket.resume().on('close', resolve));
  const sending = setInterval(() => socket.write(publish(5, 'topic', 'x')), silentCloseDelayMs / 4);
  await closed;
  clearInterval(sending);
});
