import assert from 'node:assert/strict';
import { test } from 'node:test';
import { basicAck, basicConsume, basicGet, txSelect } from '../../../src/wire/amqp/basic-methods.ts';
import type { FieldTable } from '../../../src/format/field-table.ts';
import { publish, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const patient = await serve();
const endless = await serve({ consumerTimeoutMs: 0 });
const impatient = await serve({ consumerTimeoutMs: 100 });

const late = (timeoutMs: number, channel = 1): string =>
  `PRECONDITION_FAILED - delivery acknowledgement on channel ${channel} timed out. Timeout value used: ${timeoutMs} ms. ` +
  'This timeout value can be configured: --consumer-timeout, x-consumer-timeout';

function consume(client: RawClient, queue: string, consumerTag: string, given: FieldTable = {}, number = 1) {
  const request = { queue, consumerTag, noLocal: false, noAck: false, exclusive: false, noWait: false };
  return client.call(number, basicConsume, { ...request, arguments: given }, 'basic.consume_ok');
}

for (const [name, served] of Object.entries({ patient, endless })) {
  test(`a queue has a time of its own, on a ${name} server`, async () => {
    const client = await served.client();
    await client.declare('quick', { 'x-consumer-timeout': 100 });
    client.send(publish('quick', 'a'));
    await consume(client, 'quick', 'c');
    await client.message('basic.deliver');
    assert.equal((await client.expect('channel.close')).args['replyText'], late(100));
    await client.openChannel(2);
    client.send(basicGet.frame(2, { queue: 'quick', noAck: false }));
    assert.equal(String((await client.message('basic.get_ok')).body), 'a');
    assert.equal((await client.expect('channel.close')).args['replyText'], late(100, 2));
  });
}

test('a consumer has a time of its own, whatever its queue and the server say; others of its channel go by theirs', async () => {
  const client = await impatient.client();
  await client.declare('slow', { 'x-consumer-timeout': 50 });
  await client.declare('plain');
  await consume(client, 'slow', 'c', { 'x-consumer-timeout': 0 });
  client.send(publish('slow', 'a'));
  await client.message('basic.deliver');
  await new Promise((resolve) => setTimeout(resolve, 400));
  await consume(client, 'plain', 'd');
  client.send(publish('plain', 'b'), publish('plain', 'c'));
  await client.message('basic.deliver');
  await client.message('basic.deliver');
  client.send(basicAck.frame(1, { deliveryTag: 2, multiple: false }));
  assert.equal((await client.expect('channel.close')).args['replyText'], late(100));
});

test('what an open transaction settles is not settled', async () => {
  const client = await impatient.client();
  await client.declare('work');
  client.send(publish('work', 'a'));
  await client.call(1, txSelect, {}, 'tx.select_ok');
  await consume(client, 'work', 'c');
  await client.message('basic.deliver');
  client.send(basicAck.frame(1, { deliveryTag: 1, multiple: false }));
  assert.equal((await client.expect('channel.close')).args['replyText'], late(100));
});

test('a time that is none is refused', async () => {
  const client = await patient.client();
  await client.declare('any');
  client.send(
    basicConsume.frame(1, {
      queue: 'any',
      consumerTag: 'c',
      noLocal: false,
      noAck: false,
      exclusive: false,
      noWait: false,
      arguments: { 'x-consumer-timeout': -1 },
    }),
  );
  assert.equal(
    (await client.expect('channel.close')).args['replyText'],
    "PRECONDITION_FAILED - invalid arg 'x-consumer-timeout' for queue 'any' in vhost '/': {value_negative,-1}",
  );
});
