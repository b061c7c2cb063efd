import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Allowance } from '../../../src/bench/mqtt/allowance.ts';
import type { MqttConnection, PacketReader } from '../../../src/bench/mqtt/connection.ts';
import { acknowledgement, packetType, publishPacket } from '../../../src/bench/mqtt/packet.ts';
import { MqttPublisher, type MqttPublisherPlan } from '../../../src/bench/mqtt/publisher.ts';

const plan: MqttPublisherPlan = { topic: 'a/b', qos: 1, stream: 0, bodyBytes: 100, window: 10, ring: 20 };

interface Harness {
  publisher: MqttPublisher;
  answer(type: number, ...packetIds: number[]): void;
  /** Numbers of the messages as written to the socket. */
  written: number[];
  /** Packet ids of the messages that were released. */
  released: number[];
  failures: string[];
}

function harness(over: Partial<MqttPublisherPlan> = {}, allowance = new Allowance(1000)): Harness {
  const whole = { ...plan, ...over };
  const written: number[] = [];
  const released: number[] = [];
  const failures: string[] = [];
  const size = publishPacket(whole.topic, whole.qos, 1, whole.bodyBytes).length;
  const connection = {
    reader: undefined as PacketReader | undefined,
    control: () => assert.fail('nothing else was sent'),
    socket: {
      writableLength: 0,
      write: (bytes: Buffer) => {
        if ((bytes[0] ?? 0) >> 4 === packetType.pubrel) {
          assert.equal((bytes[0] ?? 0) & 0xf, 0b10);
          for (let at = 0; at < bytes.length; at += 4) released.push(bytes.readUInt16BE(at + 2));
          return;
        }
        for (let at = 0; at < bytes.length; at += size)
          written.push(bytes.readUInt32BE(at + size - whole.bodyBytes + 4));
      },
    },
  };
  const publisher = new MqttPublisher(connection as unknown as MqttConnection, whole, allowance);
  publisher.onFailure = (cause) => failures.push(cause.message);
  const answer = (type: number, ...packetIds: number[]): void => {
    const bytes = Buffer.concat(packetIds.map((id) => acknowledgement(type, id)));
    assert.equal(connection.reader?.(bytes, 0, bytes.length), bytes.length);
  };
  return { publisher, answer, written, released, failures };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

test('no more than the window is unacknowledged, and acknowledgements open it again', () => {
  const { publisher, answer, written } = harness();
  publisher.start();
  assert.equal(publisher.sent, 10);
  answer(packetType.puback, 1, 2, 3, 4);
  assert.deepEqual([publisher.acknowledged, publisher.sent], [4, 14]);
  assert.deepEqual(written, range(14));
});

test('a slot is not written again before its message is acknowledged', () => {
  const { publisher, answer, failures } = harness();
  publisher.start();
  for (let id = 2; id <= 20; id++) answer(packetType.puback, id);
  assert.equal(publisher.sent, 20);
  answer(packetType.puback, 1);
  assert.equal(publisher.sent, 30);
  assert.deepEqual(failures, []);
});

test('a second acknowledgement, and one of a packet id never sent, are failures', () => {
  const { publisher, answer, failures } = harness();
  publisher.start();
  answer(packetType.puback, 2, 2, 15);
  assert.equal(failures.length, 2);
});

test('QoS 2 releases what was received, and counts it once it is complete', () => {
  const { publisher, answer, released, failures } = harness({ qos: 2 });
  publisher.start();
  answer(packetType.pubrec, 1, 2, 3);
  assert.deepEqual(released, [1, 2, 3]);
  assert.deepEqual([publisher.acknowledged, publisher.sent], [0, 10]);
  answer(packetType.pubcomp, 1, 2);
  assert.deepEqual([publisher.acknowledged, publisher.sent], [2, 12]);
  answer(packetType.pubcomp, 4);
  answer(packetType.puback, 5);
  assert.equal(failures.length, 2);
});

test('a publisher that has stopped is settled once all is acknowledged', () => {
  const { publisher, answer } = harness();
  publisher.start();
  publisher.stop();
  assert.ok(!publisher.settled);
  for (const index of range(10)) answer(packetType.puback, index + 1);
  assert.ok(publisher.settled);
  assert.equal(publisher.sent, 10);
});

test('QoS 0 goes as far as it may be ahead of the subscriber, and on when that has got something', () => {
  const allowance = new Allowance(16);
  const { publisher, written } = harness({ qos: 0, window: 16, ring: 16 }, allowance);
  publisher.start();
  assert.equal(publisher.sent, 16);
  allowance.tell(5);
  assert.equal(publisher.sent, 21);
  assert.deepEqual(written, range(21));
});

test('QoS 0 goes on after messages that were lost', () => {
  const allowance = new Allowance(16);
  const { publisher } = harness({ qos: 0, window: 16, ring: 16 }, allowance);
  publisher.start();
  allowance.giveUpLost();
  assert.equal(publisher.sent, 16);
  allowance.giveUpLost();
  assert.equal(publisher.sent, 32);
});

test('publishers share what they may be ahead, and who had too little goes on first', () => {
  const allowance = new Allowance(15);
  const one = harness({}, allowance);
  const other = harness({}, allowance);
  one.publisher.start();
  other.publisher.start();
  assert.deepEqual([one.publisher.sent, other.publisher.sent], [10, 5]);
  one.answer(packetType.puback, ...range(10).map((index) => index + 1));
  assert.equal(one.publisher.sent, 10);
  allowance.tell(5);
  assert.deepEqual([one.publisher.sent, other.publisher.sent], [10, 10]);
  allowance.tell(12);
  assert.equal(one.publisher.sent, 17);
  assert.throws(() => allowance.tell(100), /100 messages came of 27/);
});
