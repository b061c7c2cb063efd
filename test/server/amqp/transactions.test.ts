import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeProperties } from '../../../src/format/basic-properties.ts';
import {
  basicAck,
  basicCancel,
  basicGet,
  basicNack,
  basicQos,
  basicRecover,
  basicReject,
  confirmSelect,
  txCommit,
  txRollback,
  txSelect,
} from '../../../src/wire/amqp/basic-methods.ts';
import { channelClose, channelCloseOk } from '../../../src/wire/amqp/channel-methods.ts';
import { queueBind, queueDelete } from '../../../src/wire/amqp/queue-methods.ts';
import { publish, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();
const small = await serve({}, { maxTransactionBytes: 100_000, maxTransactionBytesOfAll: 250_000 });

const select = (client: RawClient, number = 1) => client.call(number, txSelect, {}, 'tx.select_ok');
const commit = (client: RawClient, number = 1) => client.call(number, txCommit, {}, 'tx.commit_ok');
const rollback = (client: RawClient, number = 1) => client.call(number, txRollback, {}, 'tx.rollback_ok');
const ack = (deliveryTag: number, multiple = false) => basicAck.frame(1, { deliveryTag, multiple });
const nack = (deliveryTag: number, requeue: boolean, multiple = false) =>
  basicNack.frame(1, { deliveryTag, multiple, requeue });

/** How many ready messages, and their bodies, are in a queue; they are taken out. */
async function drain(queue: string, port = served): Promise<string[]> {
  const client = await port.client();
  const bodies: string[] = [];
  for (;;) {
    client.send(basicGet.frame(1, { queue, noAck: true }));
    const frame = await client.next();
    if (frame?.name === 'basic.get_empty') break;
    assert.equal(frame?.name, 'basic.get_ok');
    const header = await client.expect('header');
    bodies.push(header.payload.readBigUInt64BE(4) === 0n ? '' : (await client.expect('body')).payload.toString());
  }
  client.end();
  return bodies;
}

let serial = 0;
async function queue(client: RawClient, args = {}): Promise<string> {
  const name = `q${++serial}`;
  await client.declare(name, args);
  return name;
}

async function got(client: RawClient, name: string): Promise<number> {
  client.send(basicGet.frame(1, { queue: name, noAck: false }));
  const { frame } = await client.message('basic.get_ok');
  return frame.args['deliveryTag'] as number;
}

/** The body of the one message that comes before this answer or after it. */
async function delivered(client: RawClient, answer: string): Promise<string[]> {
  const bodies: string[] = [];
  for (let left = 4; left > 0; left--) {
    const frame = await client.next();
    if (frame?.name === 'body') bodies.push(frame.payload.toString());
    else if (frame?.name !== 'header' && frame?.name !== 'basic.deliver') assert.equal(frame?.name, answer);
  }
  return bodies;
}

async function closed(client: RawClient): Promise<string> {
  const { args, channel } = await client.expect('channel.close');
  assert.equal(args['replyCode'], 406);
  client.send(channelCloseOk.frame(channel, {}));
  await client.openChannel(channel);
  return args['replyText'] as string;
}

describe('publishes', () => {
  test('are in no queue before tx.commit, and in all of theirs behind it', async () => {
    const client = await served.client();
    const [a, b] = [await queue(client), await queue(client)];
    await select(client);
    client.send(publish(a, 'one'), publish(b, 'two'), publish(a, 'three', { frameMax: 4_096 }), publish(a, ''));
    client.send(publish(b, Buffer.alloc(50_000, 'x'), { frameMax: 4_096 }));
    assert.equal((await client.declare(a)).args['messageCount'], 0);
    await commit(client);
    assert.equal((await client.declare(a)).args['messageCount'], 3);
    assert.deepEqual(await drain(a), ['one', 'three', '']);
    assert.deepEqual(await drain(b), ['two', 'x'.repeat(50_000)]);
  });

  test('are forgotten by tx.rollback, by the end of their channel and of their connection', async () => {
    const client = await served.client();
    const name = await queue(client);
    await select(client);
    client.send(publish(name, 'rolled back'));
    await rollback(client);
    await commit(client);
    client.send(publish(name, 'closed'));
    const close = { replyCode: 200, replyText: '', classId: 0, methodId: 0 };
    await client.call(1, channelClose, close, 'channel.close_ok');
    await client.openChannel(1);
    await select(client);
    client.send(publish(name, 'cut'));
    client.end();
    const other = await served.client();
    assert.equal((await other.declare(name)).args['messageCount'], 0);
    assert.equal(served.broker.context.transactions.bytes, 0);
  });

  test('many, of all sizes, keep their bytes, properties and order over several transactions', async () => {
    const client = await served.client();
    const name = await queue(client);
    await select(client);
    const sizes = Array.from({ length: 300 }, (_, i) => (i % 50 === 7 ? 9_000 + i : (i * 37) % 700));
    for (let round = 0; round < 3; round++) {
      for (const [i, size] of sizes.entries()) {
        const properties = encodeProperties({ messageId: `${round}-${i}` });
        client.send(publish(name, Buffer.alloc(size, i), { properties }));
      }
      await commit(client);
    }
    await client.consume(name, 'c', true);
    for (let i = 0; i < 3 * sizes.length; i++) {
      const { properties, body } = await client.message('basic.deliver');
      const [round, at] = [Math.floor(i / sizes.length), i % sizes.length];
      assert.deepEqual(body, Buffer.alloc(sizes[at]!, at));
      assert.deepEqual(properties, encodeProperties({ messageId: `${round}-${at}` }));
    }
  });

  test('to no exchange are refused at once, and what was published before is not done', async () => {
    const client = await served.client();
    const name = await queue(client);
    await select(client);
    client.send(publish(name, 'before'), publish('k', 'x', { exchange: 'nope' }), txCommit.frame(1, {}));
    const { args } = await client.expect('channel.close');
    assert.deepEqual([args['replyCode'], args['replyText']], [404, "NOT_FOUND - no exchange 'nope' in vhost '/'"]);
    assert.deepEqual(await drain(name), []);
  });

  test('that no queue takes come back at tx.commit if they are mandatory, and not after tx.rollback', async () => {
    const client = await served.client();
    await select(client);
    client.send(publish('nobody', 'rolled back', { mandatory: true }));
    await rollback(client);
    client.send(publish('nobody', 'back', { mandatory: true }), publish('nobody', 'gone'));
    client.send(txCommit.frame(1, {}));
    const { frame, body } = await client.message('basic.return');
    assert.deepEqual([frame.args['replyCode'], frame.args['routingKey'], String(body)], [312, 'nobody', 'back']);
    await client.expect('tx.commit_ok');
  });

  test('have the time to live that they were published with, from tx.commit on', async () => {
    const client = await served.client();
    const name = await queue(client);
    await select(client);
    client.send(publish(name, 'short', { properties: encodeProperties({ expiration: '0' }) }));
    client.send(publish(name, 'long', { properties: encodeProperties({ expiration: '600000' }) }));
    await commit(client);
    await sleep(20);
    assert.deepEqual(await drain(name), ['long']);
  });

  test('to a direct reply-to address go out at tx.commit', async () => {
    const asker = await served.client();
    await asker.consume('amq.rabbitmq.reply-to', 'r', true);
    const answerer = await served.client();
    const name = await queue(answerer);
    asker.send(publish(name, 'question', { properties: encodeProperties({ replyTo: 'amq.rabbitmq.reply-to' }) }));
    await answerer.consume(name, 'c');
    const { frame, properties } = await answerer.message('basic.deliver');
    const address = properties.subarray(3).toString();
    await select(answerer);
    answerer.send(publish(address, 'wrong'));
    await rollback(answerer);
    answerer.send(publish(address, 'right'), ack(frame.args['deliveryTag'] as number));
    await commit(answerer);
    assert.equal(String((await asker.message('basic.deliver')).body), 'right');
  });
});

describe('settlements', () => {
  test('are not done before tx.commit; tx.rollback leaves deliveries unacknowledged, to be settled once more', async () => {
    const client = await served.client();
    const name = await queue(client);
    client.send(publish(name, '1'), publish(name, '2'), publish(name, '3'));
    const tags = [await got(client, name), await got(client, name), await got(client, name)];
    assert.deepEqual(tags, [1, 2, 3]);
    await select(client);
    client.send(ack(2), nack(1, false));
    await rollback(client);
    client.send(ack(3, true));
    await rollback(client);
    client.send(nack(0, true, true));
    await rollback(client);
    client.send(ack(1), basicReject.frame(1, { deliveryTag: 2, requeue: true }));
    await commit(client);
    assert.deepEqual(await drain(name), ['2']);
    // The third was left unacknowledged.
    await client.call(1, channelClose, { replyCode: 200, replyText: '', classId: 0, methodId: 0 }, 'channel.close_ok');
    assert.deepEqual(await drain(name), ['3']);
  });

  test('of one connection that ends before tx.commit come back', async () => {
    const client = await served.client();
    const name = await queue(client);
    client.send(publish(name, '1'), publish(name, '2'));
    await client.consume(name, 'c');
    await client.message('basic.deliver');
    await client.message('basic.deliver');
    await select(client);
    client.send(ack(2, true));
    client.end();
    const other = await served.client();
    await other.consume(name, 'c');
    for (const body of ['1', '2']) {
      const delivery = await other.message('basic.deliver');
      assert.deepEqual([String(delivery.body), delivery.frame.args['redelivered']], [body, true]);
    }
  });

  test('with multiple are of what was delivered until then', async () => {
    const client = await served.client();
    const name = await queue(client);
    await client.consume(name, 'c');
    client.send(publish(name, '1'), publish(name, '2'));
    await client.message('basic.deliver');
    await client.message('basic.deliver');
    await select(client);
    client.send(ack(0, true), publish(name, '3'), txCommit.frame(1, {}));
    assert.deepEqual(await delivered(client, 'tx.commit_ok'), ['3']);
    client.send(ack(3, true));
    await commit(client);
    client.end();
    assert.deepEqual(await drain(name), []);
  });

  test('of a tag that is not there, or settled already in this transaction, fail the channel with nothing done', async () => {
    const client = await served.client();
    const name = await queue(client);
    const target = await queue(client);
    client.send(publish(name, '1'));
    for (const bad of [ack(7), Buffer.concat([ack(1), ack(1)])]) {
      await got(client, name);
      await select(client);
      client.send(publish(target, 'x'), bad, txCommit.frame(1, {}));
      assert.match(await closed(client), /^PRECONDITION_FAILED - unknown delivery tag [71]$/);
    }
    assert.deepEqual(await drain(target), []);
    assert.deepEqual(await drain(name), ['1']);
  });

  test('free their credit at tx.commit, not before', async () => {
    const client = await served.client();
    const name = await queue(client);
    client.send(publish(name, '1'), publish(name, '2'));
    await client.call(1, basicQos, { prefetchSize: 0, prefetchCount: 1, global: false }, 'basic.qos_ok');
    await client.consume(name, 'c');
    await client.message('basic.deliver');
    await select(client);
    client.send(ack(1));
    // A passive question comes back before any delivery.
    assert.equal((await client.declare(name)).args['messageCount'], 1);
    client.send(txCommit.frame(1, {}));
    assert.deepEqual(await delivered(client, 'tx.commit_ok'), ['2']);
  });

  test('basic.recover gives back what no transaction settles', async () => {
    const client = await served.client();
    const name = await queue(client);
    client.send(publish(name, '1'), publish(name, '2'));
    await got(client, name);
    await got(client, name);
    await select(client);
    client.send(ack(1));
    await client.call(1, basicRecover, { requeue: true }, 'basic.recover_ok');
    assert.deepEqual(await drain(name), ['2']);
    await commit(client);
  });

  test('of a cancelled consumer are done', async () => {
    const client = await served.client();
    const name = await queue(client);
    client.send(publish(name, '1'));
    await client.consume(name, 'c');
    await client.message('basic.deliver');
    await select(client);
    client.send(ack(1));
    await client.call(1, basicCancel, { consumerTag: 'c', noWait: false }, 'basic.cancel_ok');
    await commit(client);
    client.end();
    assert.deepEqual(await drain(name), []);
  });
});

describe('dead letters of what a transaction rejects', () => {
  test('arrive with it', async () => {
    const client = await served.client();
    const dead = await queue(client);
    const name = await queue(client, { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead });
    client.send(publish(name, '1'), publish(name, '2'), publish(name, '3'));
    for (let i = 0; i < 3; i++) await got(client, name);
    await select(client);
    client.send(nack(2, false, true), ack(3));
    assert.deepEqual(await drain(dead), []);
    await commit(client);
    assert.deepEqual(await drain(dead), ['1', '2']);
    client.end();
    assert.deepEqual(await drain(name), []);
  });

  test('that are refused are dropped, and the rest is done', async () => {
    const client = await served.client();
    const dead = await queue(client, { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
    const name = await queue(client, { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead });
    const target = await queue(client);
    client.send(publish(name, '1'), publish(name, '2'));
    for (let i = 0; i < 2; i++) await got(client, name);
    await select(client);
    client.send(nack(2, false, true), publish(target, 'done'));
    await commit(client);
    assert.deepEqual(await drain(target), ['done']);
    assert.equal((await drain(dead)).length, 1);
    client.end();
    assert.deepEqual(await drain(name), []);
  });

  test('that nobody takes stay where the strategy is at-least-once', async () => {
    const client = await served.client();
    const name = await queue(client, {
      'x-dead-letter-exchange': 'amq.direct',
      'x-dead-letter-strategy': 'at-least-once',
      'x-overflow': 'reject-publish',
    });
    const target = await queue(client);
    client.send(publish(name, 'kept'));
    await got(client, name);
    await select(client);
    client.send(nack(1, false), publish(target, 'done'));
    await commit(client);
    assert.deepEqual(await drain(target), ['done']);
    client.end();
    const other = await served.client();
    await other.consume(name, 'c');
    assert.equal(String((await other.message('basic.deliver')).body), 'kept');
  });
});

describe('a refusal', () => {
  test('of a full queue fails tx.commit: nothing is published anywhere, nothing settled', async () => {
    const client = await served.client();
    const full = await queue(client, { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
    const [source, target] = [await queue(client), await queue(client)];
    client.send(publish(source, 'in'));
    await got(client, source);
    await select(client);
    client.send(publish(target, 'out'), publish(full, '1'), publish(full, '2'), ack(1), txCommit.frame(1, {}));
    const { args } = await client.expect('channel.close');
    const text =
      `PRECONDITION_FAILED - transaction refused: a queue is full, of exchange '' with routing key '${full}'; ` +
      'nothing was done';
    assert.deepEqual([args['replyText'], args['classId'], args['methodId']], [text, 90, 20]);
    assert.deepEqual([await drain(target), await drain(full)], [[], []]);
    assert.deepEqual(await drain(source), ['in']);
    assert.equal(served.broker.context.transactions.bytes, 0);
  });

  test('is not what a repeat within the transaction meets, which takes no room', async () => {
    const client = await served.client();
    const one = await queue(client, {
      'x-max-length': 1,
      'x-overflow': 'reject-publish',
      'x-message-deduplication': true,
    });
    const last = await queue(client, {
      'x-max-length': 3,
      'x-overflow': 'reject-publish',
      'x-message-deduplication': true,
      'x-cache-size': 1,
    });
    const put = (name: string, body: string, id: string) =>
      publish(name, body, { properties: encodeProperties({ headers: { 'x-deduplication-header': id } }) });
    await select(client);
    client.send(put(one, '1', 'a'), put(one, '2', 'a'));
    client.send(put(last, '1', 'a'), put(last, '2', 'b'), put(last, '3', 'b'), put(last, '4', 'a'));
    await commit(client);
    assert.deepEqual([await drain(one), await drain(last)], [['1'], ['1', '2', '4']]);
    client.send(put(one, '1', 'a'), put(one, '2', 'b'), txCommit.frame(1, {}));
    assert.match(await closed(client), /a queue is full/);
    await select(client);
    // What was forgotten when it comes again does take room.
    client.send(...['b', 'c', 'd', 'b'].map((id) => put(last, id, id)), txCommit.frame(1, {}));
    assert.match(await closed(client), /a queue is full/);
    assert.deepEqual([await drain(one), await drain(last)], [[], []]);
    client.end();
  });

  test('of a queue deleted since fails tx.commit, whether published to or acknowledged', async () => {
    for (const what of ['publish', 'ack'] as const) {
      const client = await served.client();
      const [gone, target] = [await queue(client), await queue(client)];
      await client.call(1, queueBind, { ...binding, queue: gone, routingKey: gone }, 'queue.bind_ok');
      client.send(publish(gone, 'x'));
      await got(client, gone);
      await select(client);
      client.send(publish(target, 'x'), what === 'ack' ? ack(1) : publish(gone, 'x', { exchange: 'amq.topic' }));
      await client.call(
        1,
        queueDelete,
        { queue: gone, ifUnused: false, ifEmpty: false, noWait: false },
        'queue.delete_ok',
      );
      client.send(txCommit.frame(1, {}));
      assert.match(await closed(client), /^PRECONDITION_FAILED - transaction refused: /);
      assert.deepEqual(await drain(target), []);
    }
  });

  test('of what is too large, alone or with others, ends the channel where it is published', async () => {
    const one = await small.client();
    await one.declare('large');
    await select(one);
    one.send(publish('large', Buffer.alloc(90_000)), publish('large', Buffer.alloc(20_000)));
    assert.equal(await closed(one), 'PRECONDITION_FAILED - transaction is larger than 100000 bytes');
    const first = [await small.client(), await small.client()];
    for (const client of first) {
      await select(client);
      client.send(publish('large', Buffer.alloc(90_000)));
      await client.declare('large');
    }
    const last = await small.client();
    await select(last);
    last.send(publish('large', Buffer.alloc(90_000)));
    assert.match(await closed(last), /^PRECONDITION_FAILED - open transactions hold 250000 bytes together/);
    for (const client of first) await commit(client);
    await select(last);
    last.send(publish('large', Buffer.alloc(90_000)));
    await commit(last);
  });
});

describe('the modes of a channel', () => {
  const cases = [
    { name: 'tx.commit', frames: txCommit.frame(1, {}), text: 'channel is not transactional' },
    { name: 'tx.rollback', frames: txRollback.frame(1, {}), text: 'channel is not transactional' },
    {
      name: 'tx.select behind confirm.select',
      frames: Buffer.concat([confirmSelect.frame(1, { noWait: true }), txSelect.frame(1, {})]),
      text: 'cannot switch from confirm to tx mode',
    },
  ];
  for (const { name, frames, text } of cases) {
    test(`${name}: ${text}`, async () => {
      const client = await served.client();
      client.send(frames);
      assert.equal(await closed(client), `PRECONDITION_FAILED - ${text}`);
    });
  }

  test('confirm.select behind tx.select: cannot switch from tx to confirm mode', async () => {
    const client = await served.client();
    await select(client);
    await select(client);
    client.send(confirmSelect.frame(1, { noWait: false }));
    assert.equal(await closed(client), 'PRECONDITION_FAILED - cannot switch from tx to confirm mode');
  });

  test('of one channel are not those of another', async () => {
    const client = await served.client();
    await client.openChannel(2);
    const name = await queue(client);
    await select(client);
    client.send(publish(name, 'held'), publish(name, 'plain', { channel: 2 }));
    await client.call(2, confirmSelect, { noWait: false }, 'confirm.select_ok');
    assert.equal((await client.declare(name)).args['messageCount'], 1);
    await commit(client);
    assert.deepEqual(await drain(name), ['plain', 'held']);
  });
});

const binding = { exchange: 'amq.topic', noWait: false, arguments: {} };
