import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { MqttConnection } from '../../../src/bench/mqtt/connection.ts';
import { CreditGiver, takeCredit } from '../../../src/bench/mqtt/credit.ts';
import { packetBytes, packetType, publishPacket } from '../../../src/bench/mqtt/packet.ts';

const connack = Buffer.from([packetType.connack << 4, 2, 0, 0]);
const pingresp = Buffer.from([packetType.pingresp << 4, 0]);

/** Answers each packet as `answer` says. */
async function serve(
  t: TestContext,
  answer: (packet: Buffer, socket: Socket) => void,
): Promise<{ host: string; port: number }> {
  const server: Server = createServer((socket) => {
    let rest: Buffer = Buffer.alloc(0);
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      for (let size = packetBytes(rest, 0, rest.length); size > 0 && size <= rest.length;) {
        answer(rest.subarray(0, size), socket);
        rest = rest.subarray(size);
        size = packetBytes(rest, 0, rest.length);
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

test('a connection says CONNECT, and DISCONNECT at its end', { timeout: 300_000 }, async (t) => {
  const came: number[] = [];
  const address = await serve(t, (packet, socket) => {
    came.push((packet[0] ?? 0) >> 4);
    if ((packet[0] ?? 0) >> 4 === packetType.connect) socket.write(connack);
  });
  const connection = await MqttConnection.open(address, { clientId: 'c' });
  connection.onFailure = (cause) => assert.fail(cause.message);
  await connection.close();
  assert.deepEqual(came, [packetType.connect, packetType.disconnect]);
});

test('a refused connection and a refused subscription are errors', { timeout: 300_000 }, async (t) => {
  const refusing = await serve(t, (_, socket) => socket.write(Buffer.from([packetType.connack << 4, 2, 0, 5])));
  await assert.rejects(MqttConnection.open(refusing, { clientId: 'c' }), /CONNACK with code 5/);
  const address = await serve(t, (packet, socket) => {
    if ((packet[0] ?? 0) >> 4 === packetType.connect) socket.write(connack);
    else if ((packet[0] ?? 0) >> 4 === packetType.subscribe)
      socket.write(Buffer.from([packetType.suback << 4, 4, 0, 1, 0, 0x80]));
  });
  const connection = await MqttConnection.open(address, { clientId: 'c' });
  await assert.rejects(connection.subscribe(['a', 'b'], 0), /refused/);
  await connection.close();
});

test('a connection that the broker ends fails', { timeout: 300_000 }, async (t) => {
  const address = await serve(t, (packet, socket) => {
    if ((packet[0] ?? 0) >> 4 === packetType.connect) socket.write(connack);
    else socket.destroy();
  });
  const connection = await MqttConnection.open(address, { clientId: 'c' });
  const failed = new Promise<Error>((resolve) => {
    connection.onFailure = resolve;
  });
  await assert.rejects(connection.ping(), /closed the connection|ECONNRESET/);
  assert.match((await failed).message, /closed the connection|ECONNRESET/);
});

test('connections that share a read buffer keep their halves of packets apart', { timeout: 300_000 }, async (t) => {
  const message = publishPacket('topic', 0, 0, 300);
  const sockets: Socket[] = [];
  const address = await serve(t, (packet, socket) => {
    if ((packet[0] ?? 0) >> 4 === packetType.connect) socket.setNoDelay(true).write(connack);
    else socket.write(pingresp);
    if (!sockets.includes(socket)) sockets.push(socket);
  });
  const connections = [
    await MqttConnection.open(address, { clientId: 'a' }),
    await MqttConnection.open(address, { clientId: 'b' }),
  ];
  const received: Buffer[][] = connections.map((connection, index) => {
    const packets: Buffer[] = [];
    connection.reader = (bytes, at, end) => {
      for (let size = packetBytes(bytes, at, end); size > 0 && at + size <= end; size = packetBytes(bytes, at, end)) {
        if (size === 2) connection.control(bytes, at, at + size);
        else packets.push(Buffer.from(bytes.subarray(at, at + size)));
        at += size;
      }
      return at;
    };
    assert.ok(sockets[index]);
    return packets;
  });
  for (const part of [
    message.subarray(0, 1),
    message.subarray(1, 150),
    Buffer.concat([message.subarray(150), message]),
  ]) {
    for (const [index, socket] of sockets.entries()) {
      const marked = Buffer.from(part);
      // The last byte of a message tells whose it is.
      if (part.length > 200) marked[part.length - message.length - 1] = marked[part.length - 1] = index + 1;
      socket.write(marked);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  await Promise.all(connections.map((connection) => connection.ping()));
  for (const [index, packets] of received.entries()) {
    assert.deepEqual(
      packets.map((packet) => [packet.length, packet.at(-1)]),
      [
        [message.length, index + 1],
        [message.length, index + 1],
      ],
    );
  }
  await Promise.all(connections.map((connection) => connection.close()));
});

test('the publishing side hears how far the subscribers are, in steps', { timeout: 300_000 }, async () => {
  const giver = await CreditGiver.open();
  const heard: number[] = [];
  let enough: () => void = () => undefined;
  const all = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const taker = await takeCredit(giver.port, (passed) => {
    heard.push(passed);
    if (passed === 25) enough();
  });
  while (heard.length === 0) {
    giver.tell(10, 10);
    await new Promise((resolve) => setImmediate(resolve));
  }
  giver.tell(19, 10);
  giver.tell(25, 10);
  await all;
  assert.deepEqual(heard, [10, 25]);
  taker.destroy();
  giver.close();
});
