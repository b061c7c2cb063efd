/** What RabbitMQ has beside and beyond 0-9-1, as its clients see it. Each case was held against a RabbitMQ 3.10; what it does otherwise is said there. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeProperties, encodeProperties } from '../../../src/format/basic-properties.ts';
import type { FieldTable } from '../../../src/format/field-table.ts';
import {
  basicAck,
  basicCancel,
  basicGet,
  basicNack,
  basicQos,
  basicRecoverAsync,
  basicReject,
  confirmSelect,
} from '../../../src/wire/amqp/basic-methods.ts';
import { channelCloseOk, channelFlow } from '../../../src/wire/amqp/channel-methods.ts';
import {
  exchangeBind,
  exchangeDeclare,
  exchangeDelete,
  exchangeUnbind,
} from '../../../src/wire/amqp/exchange-methods.ts';
import { queueBind, queueDeclare, queueDelete, queuePurge, queueUnbind } from '../../../src/wire/amqp/queue-methods.ts';
import { declaration, publish, type PublishOptions, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();

const exchange = {
  type: 'direct',
  passive: false,
  durable: false,
  autoDelete: false,
  internal: false,
  noWait: false,
  arguments: {},
};
const declareExchange = (
  client: RawClient,
  name: string,
  given: Partial<typeof exchange> & { arguments?: FieldTable },
) => client.call(1, exchangeDeclare, { ...exchange, ...given, exchange: name }, 'exchange.declare_ok');
const bind = (client: RawClient, queue: string, name: string, routingKey: string) =>
  client.call(1, queueBind, { queue, exchange: name, routingKey, noWait: false, arguments: {} }, 'queue.bind_ok');
const qos = (client: RawClient, prefetchCount: number, global: boolean) =>
  client.call(1, basicQos, { prefetchSize: 0, prefetchCount, global }, 'basic.qos_ok');
const own = { autoDelete: false, exclusive: true };

/** A queue of this connection alone, with a name from the server. */
async function queue(client: RawClient, args: FieldTable = {}): Promise<string> {
  const declare = { ...declaration, ...own, arguments: args };
  return (await client.call(1, queueDeclare, declare, 'queue.declare_ok')).args['queue'] as string;
}

async function get(client: RawClient, name: string): Promise<{ body: string; headers: FieldTable } | null> {
  client.send(basicGet.frame(1, { queue: name, noAck: true }));
  const frame = await client.next();
  if (frame?.name === 'basic.get_empty') return null;
  assert.equal(frame?.name, 'basic.get_ok');
  const header = await client.expect('header');
  const body = header.payload.readBigUInt64BE(4) === 0n ? '' : (await client.expect('body')).payload.toString();
  const properties = Buffer.from(header.payload.subarray(12));
  return { body, headers: { ...decodeProperties(properties, 0, properties.length).headers } };
}

/** Published and, by its confirm, in its queues. */
async function confirmed(client: RawClient, key: string, body: string, options: PublishOptions = {}): Promise<void> {
  client.send(publish(key, body, options));
  await client.expect('basic.ack');
}

async function bodiesUntilQuiet(client: RawClient): Promise<string[]> {
  const found: string[] = [];
  // What is asked comes back behind what was delivered before.
  await new Promise((resolve) => setTimeout(resolve, 60));
  client.send(channelFlow.frame(1, { active: true }));
  for (;;) {
    const frame = await client.next();
    if (frame?.name === 'channel.flow_ok') return found;
    if (frame?.name === 'body') found.push(frame.payload.toString());
  }
}

async function refused(client: RawClient, frames: Buffer, code: number, text: string): Promise<void> {
  client.send(frames);
  const { args, channel } = await client.expect('channel.close');
  assert.deepEqual([args['replyCode'], args['replyText']], [code, text]);
  client.send(channelCloseOk.frame(channel, {}));
  await client.openChannel(channel);
}

describe('basic.qos', () => {
  test('not global: each consumer from then on has a prefetch of its own', async () => {
    const client = await served.client();
    const name = await queue(client);
    for (const body of ['1', '2', '3', '4', '5']) client.send(publish(name, body));
    await qos(client, 2, false);
    await client.consume(name, 'a');
    assert.deepEqual(await bodiesUntilQuiet(client), ['1', '2']);
    await qos(client, 1, false);
    await client.consume(name, 'b');
    assert.deepEqual(await bodiesUntilQuiet(client), ['3']);
    client.send(basicAck.frame(1, { deliveryTag: 3, multiple: false }));
    assert.deepEqual(await bodiesUntilQuiet(client), ['4']);
    client.send(basicAck.frame(1, { deliveryTag: 2, multiple: true }));
    assert.deepEqual(await bodiesUntilQuiet(client), ['5']);
  });

  test('global: all consumers of the channel share one, and 0 lifts it', async () => {
    const client = await served.client();
    const [a, b] = [await queue(client), await queue(client)];
    for (const name of [a, b]) for (const body of ['1', '2', '3']) client.send(publish(name, body));
    await qos(client, 2, true);
    await client.consume(a, 'a');
    assert.deepEqual(await bodiesUntilQuiet(client), ['1', '2']);
    await client.consume(b, 'b');
    assert.deepEqual(await bodiesUntilQuiet(client), []);
    client.send(basicAck.frame(1, { deliveryTag: 1, multiple: false }));
    assert.equal((await bodiesUntilQuiet(client)).length, 1);
    await qos(client, 0, true);
    assert.equal((await bodiesUntilQuiet(client)).length, 3);
  });

  /** RabbitMQ 3.10 says so too, and delivers one more. */
  test('both hold at once', async () => {
    const client = await served.client();
    const name = await queue(client);
    for (const body of ['1', '2', '3', '4', '5', '6']) client.send(publish(name, body));
    await qos(client, 3, true);
    await qos(client, 2, false);
    await client.consume(name, 'a');
    assert.equal((await bodiesUntilQuiet(client)).length, 2);
    await client.consume(name, 'b');
    assert.equal((await bodiesUntilQuiet(client)).length, 1);
  });

  test('a prefetch does not hold back basic.get and consumers without acknowledgement', async () => {
    const client = await served.client();
    const name = await queue(client);
    await qos(client, 1, false);
    await qos(client, 1, true);
    for (const body of ['1', '2', '3']) client.send(publish(name, body));
    await client.consume(name, 'a', true);
    assert.equal((await bodiesUntilQuiet(client)).length, 3);
  });
});

describe('exchanges', () => {
  test('bound to each other pass messages on, each queue once, also in a circle', async () => {
    const client = await served.client();
    await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
    for (const name of ['ring-a', 'ring-b', 'ring-c']) await declareExchange(client, name, { type: 'fanout' });
    const pairs = [
      ['ring-a', 'ring-b'],
      ['ring-b', 'ring-c'],
      ['ring-c', 'ring-a'],
    ] as const;
    for (const [source, destination] of pairs) {
      const args = { destination, source, routingKey: '', noWait: false, arguments: {} };
      await client.call(1, exchangeBind, args, 'exchange.bind_ok');
    }
    const name = await queue(client);
    for (const source of ['ring-a', 'ring-b', 'ring-c']) await bind(client, name, source, '');
    await confirmed(client, 'k', 'once', { exchange: 'ring-b' });
    assert.deepEqual([(await get(client, name))?.body, await get(client, name)], ['once', null]);
    const args = { destination: 'ring-b', source: 'ring-a', routingKey: '', noWait: false, arguments: {} };
    await client.call(1, exchangeUnbind, args, 'exchange.unbind_ok');
    await client.call(
      1,
      queueUnbind,
      { queue: name, exchange: 'ring-a', routingKey: '', arguments: {} },
      'queue.unbind_ok',
    );
    await confirmed(client, 'k', 'nowhere', { exchange: 'ring-a' });
    assert.equal(await get(client, name), null);
    for (const exchangeName of ['ring-a', 'ring-b', 'ring-c']) {
      await client.call(
        1,
        exchangeDelete,
        { exchange: exchangeName, ifUnused: false, noWait: false },
        'exchange.delete_ok',
      );
    }
  });

  test('an alternate exchange gets what its own routes nowhere, and mandatory asks for both', async () => {
    const client = await served.client();
    await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
    await declareExchange(client, 'alt-rest', { type: 'fanout', autoDelete: true });
    await declareExchange(client, 'alt-first', { autoDelete: true, arguments: { 'alternate-exchange': 'alt-rest' } });
    const [routed, rest] = [await queue(client), await queue(client)];
    await bind(client, routed, 'alt-first', 'known');
    client.send(publish('unknown', 'back', { exchange: 'alt-first', mandatory: true }));
    assert.equal(String((await client.message('basic.return')).body), 'back');
    await client.expect('basic.ack');
    await bind(client, rest, 'alt-rest', '');
    await confirmed(client, 'unknown', 'rest', { exchange: 'alt-first', mandatory: true });
    await confirmed(client, 'known', 'routed', { exchange: 'alt-first' });
    assert.deepEqual([(await get(client, rest))?.body, (await get(client, rest))?.body], ['rest', undefined]);
    assert.equal((await get(client, routed))?.body, 'routed');
  });

  test('internal ones take from exchanges and not from publishers', async () => {
    const client = await served.client();
    await declareExchange(client, 'inner', { type: 'fanout', internal: true, autoDelete: true });
    await declareExchange(client, 'outer', { type: 'fanout', autoDelete: true });
    const name = await queue(client);
    await bind(client, name, 'inner', '');
    await client.call(
      1,
      exchangeBind,
      { destination: 'inner', source: 'outer', routingKey: '', noWait: false, arguments: {} },
      'exchange.bind_ok',
    );
    await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
    await confirmed(client, '', 'through', { exchange: 'outer' });
    assert.equal((await get(client, name))?.body, 'through');
    const text = "ACCESS_REFUSED - cannot publish to internal exchange 'inner' in vhost '/'";
    await refused(client, publish('', 'x', { exchange: 'inner' }), 403, text);
  });

  test('what is there already, and of the broker itself, is refused in these words', async () => {
    const client = await served.client();
    await declareExchange(client, 'taken', { type: 'topic', autoDelete: true });
    const frame = (given: object): Buffer =>
      exchangeDeclare.frame(1, { ...exchange, type: 'topic', autoDelete: true, exchange: 'taken', ...given });
    const unequal = (name: string, received: string, current: string): string =>
      `PRECONDITION_FAILED - inequivalent arg '${name}' for exchange 'taken' in vhost '/': ` +
      `received ${received} but current is ${current}`;
    await refused(client, frame({ type: 'direct' }), 406, unequal('type', "'direct'", "'topic'"));
    await refused(client, frame({ durable: true }), 406, unequal('durable', "'true'", "'false'"));
    await refused(client, frame({ autoDelete: false }), 406, unequal('auto_delete', "'false'", "'true'"));
    await refused(client, frame({ internal: true }), 406, unequal('internal', "'true'", "'false'"));
    const alternate = { 'alternate-exchange': 'amq.fanout' };
    const received = "the value 'amq.fanout' of type 'longstr'";
    await refused(client, frame({ arguments: alternate }), 406, unequal('alternate-exchange', received, 'none'));
    const operation = 'ACCESS_REFUSED - operation not permitted on the default exchange';
    const toDefault = { queue: 'amq.none', exchange: '', routingKey: 'k', noWait: false, arguments: {} };
    await queue(client);
    await refused(client, queueBind.frame(1, { ...toDefault, queue: '' }), 403, operation);
    await refused(client, exchangeDelete.frame(1, { exchange: '', ifUnused: false, noWait: false }), 403, operation);
    await refused(client, exchangeDeclare.frame(1, { ...exchange, exchange: '' }), 403, operation);
    const name = await queue(client);
    await bind(client, name, 'taken', 'k');
    const used = "PRECONDITION_FAILED - exchange 'taken' in vhost '/' in use";
    await refused(client, exchangeDelete.frame(1, { exchange: 'taken', ifUnused: true, noWait: false }), 406, used);
  });
});

describe('routing by the message', () => {
  test('CC and BCC route to their keys as well, and BCC is taken out', async () => {
    const client = await served.client();
    await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
    const [to, cc, bcc] = [await queue(client), await queue(client), await queue(client)];
    const properties = encodeProperties({ headers: { CC: [cc], BCC: [bcc], a: 'b' } });
    await confirmed(client, to, 'x', { properties });
    for (const name of [to, cc, bcc]) assert.deepEqual((await get(client, name))?.headers, { CC: [cc], a: 'b' });
    await refused(
      client,
      publish(to, 'x', { properties: encodeProperties({ headers: { CC: 'no array' } }) }),
      406,
      'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}',
    );
  });

  test('user-id must be that of the connection', async () => {
    const client = await served.client();
    await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
    const name = await queue(client);
    await confirmed(client, name, 'x', { properties: encodeProperties({ userId: 'guest' }) });
    await refused(
      client,
      publish(name, 'x', { properties: encodeProperties({ userId: 'other' }) }),
      406,
      "PRECONDITION_FAILED - user_id property set to 'other' but authenticated user was 'guest'",
    );
  });
});

describe('queues', () => {
  test('get a name from the server, and an empty name means the last one declared', async () => {
    const client = await served.client();
    const name = await queue(client);
    assert.match(name, /^amq\.gen-/);
    client.send(publish(name, 'x'));
    await bind(client, '', 'amq.direct', '');
    assert.equal((await get(client, ''))?.body, 'x');
    const purged = await client.call(1, queuePurge, { queue: '', noWait: false }, 'queue.purge_ok');
    assert.equal(purged.args['messageCount'], 0);
  });

  test('exclusive ones are locked for others, in these words', async () => {
    const [client, other] = [await served.client(), await served.client()];
    const name = await queue(client);
    const locked =
      `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${name}' in vhost '/'. It could be originally ` +
      'declared on another connection or the exclusive property value does not match that of the original declaration.';
    await refused(other, queueDeclare.frame(1, { ...declaration, queue: name, passive: true }), 405, locked);
    await refused(other, basicGet.frame(1, { queue: name, noAck: true }), 405, locked);
    await refused(other, queuePurge.frame(1, { queue: name, noWait: false }), 405, locked);
  });

  test('of another equivalence are refused in these words', async () => {
    const client = await served.client();
    const name = 'equal';
    await client.call(
      1,
      queueDeclare,
      { ...declaration, queue: name, ...own, arguments: { 'x-max-length': 5 } },
      'queue.declare_ok',
    );
    const frame = (given: object): Buffer =>
      queueDeclare.frame(1, { ...declaration, ...own, queue: name, arguments: { 'x-max-length': 5 }, ...given });
    const unequal = (arg: string, received: string, current: string): string =>
      `PRECONDITION_FAILED - inequivalent arg '${arg}' for queue '${name}' in vhost '/': received ${received} but current is ${current}`;
    await refused(client, frame({ autoDelete: true }), 406, unequal('auto_delete', "'true'", "'false'"));
    await refused(client, frame({ arguments: { 'x-max-length': 6 } }), 406, unequal('x-max-length', "'6'", "'5'"));
    await refused(
      client,
      frame({ arguments: {} }),
      406,
      unequal('x-max-length', 'none', "the value '5' of type 'signedint'"),
    );
    const given = { 'x-max-length': 5, 'x-message-ttl': 7 };
    const text = unequal('x-message-ttl', "the value '7' of type 'signedint'", 'none');
    await refused(client, frame({ arguments: given }), 406, text);
    // What nobody knows is not compared.
    await client.call(
      1,
      queueDeclare,
      { ...declaration, ...own, queue: name, arguments: { 'x-max-length': 5, 'x-mine': 1 } },
      'queue.declare_ok',
    );
    const used = `PRECONDITION_FAILED - queue '${name}' in vhost '/' in use`;
    await client.consume(name, 'c');
    client.send(queueDelete.frame(1, { queue: name, ifUnused: true, ifEmpty: false, noWait: false }));
    assert.equal((await client.expect('channel.close')).args['replyText'], used);
  });

  test('that expire unused are gone; to redeclare, get and consume is to use', async () => {
    const client = await served.client();
    const name = await queue(client, { 'x-expires': 600 });
    await client.consume(name, 'c');
    await new Promise((resolve) => setTimeout(resolve, 900));
    await client.call(1, basicCancel, { consumerTag: 'c', noWait: false }, 'basic.cancel_ok');
    await client.call(1, queueDeclare, { ...declaration, queue: name, passive: true }, 'queue.declare_ok');
    await new Promise((resolve) => setTimeout(resolve, 1_800));
    const text = `NOT_FOUND - no queue '${name}' in vhost '/'`;
    await refused(client, queueDeclare.frame(1, { ...declaration, queue: name, passive: true }), 404, text);
  });

  test('tell their consumers when they are deleted', async () => {
    const client = await served.client();
    const name = await queue(client);
    await client.openChannel(2);
    await client.consume(name, 'gone');
    client.send(queueDelete.frame(2, { queue: name, ifUnused: false, ifEmpty: false, noWait: true }));
    const { args, channel } = await client.expect('basic.cancel');
    assert.deepEqual([args['consumerTag'], channel], ['gone', 1]);
  });
});

describe('deliveries', () => {
  test('given back by basic.recover-async, basic.reject and basic.nack come again, redelivered and in their order', async () => {
    const client = await served.client();
    const name = await queue(client);
    for (const body of ['1', '2', '3']) client.send(publish(name, body));
    const take = async () => {
      client.send(basicGet.frame(1, { queue: name, noAck: false }));
      const { frame, body } = await client.message('basic.get_ok');
      return [String(body), frame.args['redelivered'], frame.args['deliveryTag']];
    };
    assert.deepEqual(await take(), ['1', false, 1]);
    assert.deepEqual(await take(), ['2', false, 2]);
    client.send(basicRecoverAsync.frame(1, { requeue: true }));
    assert.deepEqual(await take(), ['1', true, 3]);
    assert.deepEqual(await take(), ['2', true, 4]);
    client.send(basicNack.frame(1, { deliveryTag: 4, multiple: true, requeue: true }));
    assert.deepEqual(await take(), ['1', true, 5]);
    client.send(basicReject.frame(1, { deliveryTag: 5, requeue: false }));
    assert.deepEqual(await take(), ['2', true, 6]);
    assert.deepEqual(await take(), ['3', false, 7]);
  });

  test('dead letters that go round without a rejection stop', async () => {
    const client = await served.client();
    const name = await queue(client, { 'x-dead-letter-exchange': 'amq.fanout', 'x-message-ttl': 20 });
    await bind(client, name, 'amq.fanout', '');
    await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
    await confirmed(client, name, 'round');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    assert.equal(
      (await client.call(1, queueDeclare, { ...declaration, queue: name, passive: true }, 'queue.declare_ok')).args[
        'messageCount'
      ],
      0,
    );
  });
});
