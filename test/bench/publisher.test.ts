import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FrameReader, LoadConnection } from '../../src/bench/connection.ts';
import { longLong, method, methods, octet, publishFrames } from '../../src/bench/frame.ts';
import { Publisher, type PublisherPlan } from '../../src/bench/publisher.ts';

const plan: PublisherPlan = {
  exchange: '',
  routingKeys: ['queue'],
  stream: 0,
  bodyBytes: 100,
  window: 10,
  ring: 20,
};
const slotBytes = publishFrames(1, '', 'queue', 100).length;

interface Harness {
  publisher: Publisher;
  confirm(tag: number, multiple: boolean): void;
  /** Sequence numbers as written to the socket. */
  written: number[];
  failures: string[];
}

async function harness(over: Partial<PublisherPlan> = {}): Promise<Harness> {
  const written: number[] = [];
  const failures: string[] = [];
  const connection = {
    reader: undefined as FrameReader | undefined,
    call: async () => Buffer.alloc(0),
    control: () => assert.fail('no control frame was sent'),
    socket: {
      write: (bytes: Buffer) => {
        for (let at = 0; at < bytes.length; at += slotBytes) written.push(bytes.readUInt32BE(at + slotBytes - 97));
      },
    },
  };
  const publisher = await Publisher.open(connection as unknown as LoadConnection, { ...plan, ...over });
  publisher.onFailure = (cause) => failures.push(cause.message);
  const confirm = (tag: number, multiple: boolean): void => {
    const ack = method(1, methods.basicAck, longLong(tag), octet(multiple ? 1 : 0));
    connection.reader?.(ack, 0, ack.length);
  };
  return { publisher, confirm, written, failures };
}

test('no more than the window is unconfirmed, and confirms open it again', async () => {
  const { publisher, confirm, written } = await harness();
  publisher.start();
  assert.equal(publisher.sent, 10);
  confirm(4, true);
  assert.deepEqual([publisher.confirmed, publisher.sent], [4, 14]);
  assert.deepEqual(
    written,
    Array.from({ length: 14 }, (_, index) => index),
  );
});

test('confirms out of order are counted once each', async () => {
  const { publisher, confirm, failures } = await harness();
  publisher.start();
  for (const tag of [3, 1, 2, 5]) confirm(tag, false);
  assert.equal(publisher.confirmed, 4);
  confirm(6, true);
  assert.equal(publisher.confirmed, 6);
  assert.deepEqual(failures, []);
});

test('a slot is not written again before its message is confirmed', async () => {
  const { publisher, confirm } = await harness();
  publisher.start();
  for (let tag = 2; tag <= 25; tag++) if (tag <= publisher.sent) confirm(tag, false);
  assert.equal(publisher.sent, 20);
  confirm(1, false);
  assert.ok(publisher.sent > 20);
});

test('a second confirm of a message, and one of a message never sent, are failures', async () => {
  const { publisher, confirm, failures } = await harness();
  publisher.start();
  confirm(2, false);
  confirm(2, false);
  confirm(99, true);
  assert.equal(failures.length, 2);
});

test('a publisher with a count stops at it and settles when all is confirmed', async () => {
  const { publisher, confirm } = await harness({ count: 15 });
  let settled = 0;
  publisher.onSettled = () => settled++;
  publisher.start();
  confirm(10, true);
  assert.equal(publisher.sent, 15);
  assert.equal(settled, 0);
  confirm(15, true);
  assert.ok(publisher.settled);
  assert.equal(settled, 1);
});
