import assert from 'node:assert/strict';
import { test } from 'node:test';
import { markOf, writeBodyTemplate } from '../../src/bench/body.ts';
import type { LoadConnection } from '../../src/bench/connection.ts';
import {
  frame,
  frameBody,
  frameHeader,
  longLong,
  method,
  methods,
  octet,
  short,
  shortString,
} from '../../src/bench/frame.ts';
import { Subscriber, type SubscriberPlan } from '../../src/bench/subscriber.ts';
import type { Findings } from '../../src/bench/tally.ts';

const plan: SubscriberPlan = {
  queue: 'q',
  stream: 3,
  first: 0,
  stride: 1,
  bodyBytes: 100,
  ring: 64,
  prefetch: 100,
  ackEvery: 50,
  maxLatencies: 0,
};

/** A consumer on a connection that only remembers what is written to it. */
function subscriberOn(written: Buffer[], over: Partial<SubscriberPlan> = {}): Subscriber {
  const socket = { writableLength: 0, write: (bytes: Buffer) => written.push(Buffer.from(bytes)) };
  const connection = { socket, control: () => assert.fail('no control frame was sent') };
  return new Subscriber(connection as unknown as LoadConnection, { ...plan, ...over });
}

function body(seq: number): Buffer {
  const bytes = Buffer.alloc(plan.bodyBytes);
  writeBodyTemplate(bytes, 0, plan.bodyBytes, plan.stream, seq % plan.ring);
  bytes.writeUInt32BE(seq, 4);
  bytes.writeUInt32BE(markOf(plan.stream, seq), plan.bodyBytes - 4);
  return bytes;
}

function deliveries(bodies: readonly Buffer[]): Buffer {
  const frames = bodies.flatMap((bytes, index) => [
    method(
      1,
      methods.basicDeliver,
      shortString('tag'),
      longLong(index + 1),
      octet(0),
      shortString(''),
      shortString('q'),
    ),
    frame(frameHeader, 1, short(60), short(0), longLong(bytes.length), short(1 << 12), octet(2)),
    frame(frameBody, 1, bytes),
  ]);
  return Buffer.concat(frames);
}

function findingsFor(bodies: readonly Buffer[], sent: number): Findings {
  const subscriber = subscriberOn([]);
  const bytes = deliveries(bodies);
  assert.equal(subscriber.read(bytes, 0, bytes.length), bytes.length);
  subscriber.end(sent);
  return subscriber.tally.findings;
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

test('messages that came once, whole and in order leave nothing to say', () => {
  const findings = findingsFor(range(200).map(body), 200);
  assert.deepEqual(findings, { lost: 0, duplicated: 0, reordered: 0, altered: 0, first: '' });
});

test('a message that never came is lost', () => {
  const findings = findingsFor(
    range(100)
      .filter((seq) => seq !== 40)
      .map(body),
    100,
  );
  assert.equal(findings.lost, 1);
  assert.match(findings.first, /41 came where 40/);
});

test('messages missing at the end are lost', () => {
  assert.equal(findingsFor(range(90).map(body), 100).lost, 10);
});

test('a message that came twice is duplicated', () => {
  const findings = findingsFor([0, 1, 2, 1, 3].map(body), 4);
  assert.deepEqual([findings.duplicated, findings.lost, findings.reordered], [1, 0, 0]);
});

test('a late message is reordered, not lost', () => {
  const findings = findingsFor([0, 2, 3, 1, 4].map(body), 5);
  assert.deepEqual([findings.reordered, findings.lost, findings.duplicated], [1, 0, 0]);
});

test('a body whose end, size or stream differs is altered', () => {
  const wrongEnd = body(1);
  wrongEnd[99]! ^= 1;
  const wrongStream = body(3);
  wrongStream[3]! ^= 1;
  const findings = findingsFor([body(0), wrongEnd, body(2).subarray(0, 80), wrongStream, body(4)], 5);
  assert.equal(findings.altered, 3);
});

test('a pattern with one bit wrong is found in the messages whose pattern is checked', () => {
  const bodies = range(26).map(body);
  for (const bytes of bodies) bytes[50]! ^= 1;
  assert.equal(findingsFor(bodies, 26).altered, 2);
});

test('a body that carries the pattern of another message is altered', () => {
  const bytes = body(5);
  bytes.writeUInt32BE(0, 4);
  bytes.writeUInt32BE(markOf(plan.stream, 0), plan.bodyBytes - 4);
  assert.equal(findingsFor([bytes], 1).altered, 1);
});

test('deliveries are read however the bytes are cut', () => {
  const bytes = deliveries(range(5).map(body));
  for (let cut = 1; cut < bytes.length; cut++) {
    const subscriber = subscriberOn([]);
    const stopped = subscriber.read(bytes.subarray(0, cut), 0, cut);
    subscriber.read(bytes, stopped, bytes.length);
    subscriber.end(5);
    assert.equal(subscriber.received, 5, `cut at ${cut}`);
    assert.equal(subscriber.tally.findings.first, '', `cut at ${cut}`);
  }
});

test('every fiftieth message is acknowledged with multiple, or each by itself', () => {
  const bytes = deliveries(range(120).map(body));
  const multiple: Buffer[] = [];
  subscriberOn(multiple).read(bytes, 0, bytes.length);
  const acks = Buffer.concat(multiple);
  assert.equal(acks.length, 2 * 21);
  assert.deepEqual([acks.readBigUInt64BE(11), acks[19], acks.readBigUInt64BE(32), acks[40]], [50n, 1, 100n, 1]);

  const single: Buffer[] = [];
  subscriberOn(single, { ackEvery: 1 }).read(bytes, 0, bytes.length);
  const each = Buffer.concat(single);
  assert.equal(each.length, 120 * 21);
  assert.deepEqual([each.readBigUInt64BE(119 * 21 + 11), each[119 * 21 + 19]], [120n, 0]);
});

test('a consumer of every third message expects just these', () => {
  const bytes = deliveries([1, 4, 7].map(body));
  const subscriber = subscriberOn([], { first: 1, stride: 3 });
  subscriber.read(bytes, 0, bytes.length);
  subscriber.end(9);
  assert.deepEqual(subscriber.tally.findings.lost, 0);
  subscriber.end(12);
  assert.deepEqual(subscriber.tally.findings.lost, 1);
});
