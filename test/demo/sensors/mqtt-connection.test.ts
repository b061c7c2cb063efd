import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it, type TestContext } from 'node:test';
import { MqttConnection, publishPacket } from '../../../src/demo/sensors/mqtt-connection.ts';

interface Meeting {
  readonly connection: MqttConnection;
  /** The broker's end. */
  readonly peer: Socket;
  /** What it was told, as words. */
  readonly told: string[];
  /** Resolves when it has been told so much. */
  until(count: number): Promise<void>;
}

async function meet(context: TestContext): Promise<Meeting> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const told: string[] = [];
  const connection = new MqttConnection((server.address() as AddressInfo).port, 'sensor-7', {
    connected: (resumed) => told.push(`connected ${resumed}`),
    acknowledged: (packetId) => told.push(`acknowledged ${packetId}`),
    ended: (reason) => told.push(`ended ${reason}`),
  });
  const [peer] = (await accepted) as [Socket];
  peer.on('error', () => undefined);
  context.after(() => {
    peer.destroy();
    server.close();
  });
  const until = async (count: number): Promise<void> => {
    while (told.length < count) await sleep(2);
  };
  return { connection, peer, told, until };
}

describe("a sensor's connection", { timeout: 300_000 }, () => {
  it('begins with CONNECT, for a session that is kept', async (context) => {
    const { peer } = await meet(context);
    const [bytes] = (await once(peer, 'data')) as [Buffer];
    assert.equal(bytes.toString('hex'), `101400044d515454040000000008${Buffer.from('sensor-7').toString('hex')}`);
  });

  it('understands answers however they are cut', async (context) => {
    const { peer, told, until } = await meet(context);
    const answers = Buffer.from('20020100' + '40020102' + '40020003', 'hex');
    for (const byte of answers) {
      peer.write(Buffer.of(byte));
      await sleep(1);
    }
    await until(3);
    peer.write(Buffer.concat([Buffer.from('40020004', 'hex'), Buffer.from('40020005', 'hex')]));
    await until(5);
    assert.deepEqual(told, [
      'connected true',
      'acknowledged 258',
      'acknowledged 3',
      'acknowledged 4',
      'acknowledged 5',
    ]);
  });

  for (const [answer, reason] of [
    ['20020005', 'ended it refused the login with code 5'],
    ['d0000000', 'ended it sent a packet 208'],
  ] as const) {
    it(`says why it ended: ${reason}`, async (context) => {
      const { peer, told, until } = await meet(context);
      peer.write(Buffer.from(answer, 'hex'));
      await until(1);
      assert.deepEqual(told, [reason]);
    });
  }

  it('says that the broker is gone', async (context) => {
    const { peer, told, until } = await meet(context);
    peer.write(Buffer.from('20020000', 'hex'));
    await until(1);
    peer.destroy();
    await until(2);
    assert.match(told[1]!, /^ended /);
  });

  it('publishes with QoS 1, and says when it is again', () => {
    const packet = (again: boolean): string => publishPacket('a/b', 258, Buffer.from('hi'), again).toString('hex');
    assert.equal(packet(false), '32090003612f6201026869');
    assert.equal(packet(true), '3a090003612f6201026869');
    const long = publishPacket('t', 1, Buffer.alloc(300), false);
    assert.equal(long.subarray(0, 3).toString('hex'), '32b102');
    assert.equal(long.length, 3 + 3 + 2 + 300);
  });
});
