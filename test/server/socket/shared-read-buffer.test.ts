import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { readInto, shareReads } from '../../../src/server/socket/shared-read-buffer.ts';

for (const made of ['once', 'twice'] as const) {
  test(`all sockets, made ${made}, read into one buffer, pause, resume, end and close as sockets do`, () =>
    readsShared(made));
}

async function readsShared(made: 'once' | 'twice'): Promise<void> {
  const buffers = new Set<Buffer>();
  const texts: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (accepted) => {
    const socket = readInto(accepted, server, (bytes, end) => {
      buffers.add(bytes);
      texts.push(bytes.toString('utf8', 0, end));
      if (texts.at(-1) === 'pause') socket.pause();
    });
    assert.equal(socket === accepted, made === 'once');
    sockets.push(socket);
    socket.on('end', () => socket.end('bye'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  if (made === 'once') shareReads(server);
  const { port } = server.address() as AddressInfo;
  const answers = ['one', 'two'].map((text) => answered(connect(port, '127.0.0.1').end(text)));
  assert.deepEqual(await Promise.all(answers), ['bye', 'bye']);
  assert.deepEqual(texts.sort(), ['one', 'two']);
  assert.equal(buffers.size, 1, 'this Node does not let a server read into a given buffer');

  const paused = connect(port, '127.0.0.1');
  paused.write('pause');
  while (!texts.includes('pause')) await new Promise((resolve) => setImmediate(resolve));
  paused.write('later');
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.ok(!texts.includes('later'));
  sockets.at(-1)?.resume();
  while (!texts.includes('later')) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(await answered(paused.end()), 'bye');

  const closed = once(server, 'close');
  server.close();
  await closed;
}

/** All that comes until the connection is closed. */
async function answered(client: Socket): Promise<string> {
  let text = '';
  client.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(client, 'close');
  return text;
}
