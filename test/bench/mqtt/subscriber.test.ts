import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MqttConnection } from '../../../src/bench/mqtt/connection.ts';
import { acknowledgement, packetType } from '../../../src/bench/mqtt/packet.ts';
import { MqttSubscriber, type MqttSubscriberPlan } from '../../../src/bench/mqtt/subscriber.ts';
import type { Findings } from '../../../src/bench/tally.ts';
import { body, bodyBytes, deliveries, ring } from './messages.ts';

const plan: MqttSubscriberPlan = {
  clientId: 's',
  cleanSession: true,
  filter: '#',
  qos: 1,
  streams: 2,
  bodyBytes,
  ring,
};

function subscriberOn(written: Buffer[], over: Partial<MqttSubscriberPlan> = {}): MqttSubscriber {
  const socket = { writableLength: 0, write: (bytes: Buffer) => written.push(Buffer.from(bytes)) };
  const connection = { socket, control: () => assert.fail('nothing else was sent') };
  return new MqttSubscriber(connection as unknown as MqttConnection, { ...plan, ...over });
}

function findingsFor(bodies: readonly Buffer[], sent: number[]): Findings {
  const subscriber = subscriberOn([]);
  const bytes = deliveries(bodies);
  assert.equal(subscriber.read(bytes, 0, bytes.length), bytes.length);
  subscriber.end(sent);
  return subscriber.findings;
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

test('messages that came once, whole and in order leave nothing to say', () => {
  const bodies = range(200).flatMap((seq) => [body(seq, 0), body(seq, 1)]);
  assert.deepEqual(findingsFor(bodies, [200, 200]), { lost: 0, duplicated: 0, reordered: 0, altered: 0, first: '' });
});

test('a message that never came is lost, in the middle of a stream or at its end', () => {
  const without40 = range(100)
    .filter((seq) => seq !== 40)
    .map((seq) => body(seq));
  assert.equal(findingsFor(without40, [100]).lost, 1);
  assert.equal(findingsFor(without40, [105, 3]).lost, 9);
});

test('what came twice is duplicated, and what came late reordered', () => {
  const findings = findingsFor(
    [0, 1, 3, 2, 1, 4].map((seq) => body(seq)),
    [5],
  );
  assert.deepEqual([findings.duplicated, findings.reordered, findings.lost], [1, 1, 0]);
});

test('a body whose end, size, stream or pattern differs is altered', () => {
  const wrongEnd = body(1);
  wrongEnd[bodyBytes - 1]! ^= 1;
  const findings = findingsFor([body(0), wrongEnd, body(2).subarray(0, 80), body(3, 2), body(4)], [5]);
  assert.equal(findings.altered, 3);
  const bodies = range(26).map((seq) => body(seq));
  for (const bytes of bodies) bytes[50]! ^= 1;
  assert.equal(findingsFor(bodies, [26]).altered, 2);
});

test('a message of another QoS than was asked for is altered', () => {
  const subscriber = subscriberOn([], { qos: 2 });
  const bytes = deliveries([body(0)], 1);
  subscriber.read(bytes, 0, bytes.length);
  assert.equal(subscriber.findings.altered, 1);
});

test('each message of QoS 1 is acknowledged, in one write a read', () => {
  const written: Buffer[] = [];
  const bytes = deliveries([0, 1, 2].map((seq) => body(seq)));
  subscriberOn(written).read(bytes, 0, bytes.length);
  assert.deepEqual(written, [Buffer.concat([1, 2, 3].map((id) => acknowledgement(packetType.puback, id)))]);
});

test('a message of QoS 2 is received, and completed when it is released', () => {
  const written: Buffer[] = [];
  const subscriber = subscriberOn(written, { qos: 2 });
  const bytes = Buffer.concat([deliveries([body(0)], 2), acknowledgement(packetType.pubrel, 1)]);
  subscriber.read(bytes, 0, bytes.length);
  const expected = [acknowledgement(packetType.pubrec, 1), acknowledgement(packetType.pubcomp, 1)];
  assert.deepEqual(written, [Buffer.concat(expected)]);
  assert.equal(subscriber.received, 1);
});

test('QoS 0 is not acknowledged', () => {
  const written: Buffer[] = [];
  const bytes = deliveries([body(0), body(1)], 0);
  const subscriber = subscriberOn(written, { qos: 0 });
  subscriber.read(bytes, 0, bytes.length);
  assert.deepEqual([written.length, subscriber.received, subscriber.findings.altered], [0, 2, 0]);
});

test('what has passed is what came and what later messages overtook', () => {
  const subscriber = subscriberOn([]);
  let told = 0;
  subscriber.onReceived = () => told++;
  const bytes = deliveries([body(0), body(5), body(0, 1)]);
  subscriber.read(bytes, 0, bytes.length);
  assert.deepEqual([subscriber.received, subscriber.passed, told], [3, 7, 1]);
});

test('deliveries are read however the bytes are cut', () => {
  const bytes = deliveries(range(5).map((seq) => body(seq)));
  for (let cut = 1; cut < bytes.length; cut++) {
    const subscriber = subscriberOn([]);
    const stopped = subscriber.read(bytes.subarray(0, cut), 0, cut);
    subscriber.read(bytes, stopped, bytes.length);
    subscriber.end([5]);
    assert.equal(subscriber.received, 5, `cut at ${cut}`);
    assert.equal(subscriber.findings.first, '', `cut at ${cut}`);
  }
});
