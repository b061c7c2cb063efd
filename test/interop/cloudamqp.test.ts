import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AMQPClient } from '@cloudamqp/amqp-client';
import { target, unique } from './target.ts';

const { url, bugs } = await target();

describe('@cloudamqp/amqp-client', () => {
  test('declares, publishes with confirms, consumes, gets and closes', async () => {
    const connection = await new AMQPClient(url).connect();
    const channel = await connection.channel();
    await channel.confirmSelect();
    const exchange = unique('exchange');
    await channel.exchangeDeclare(exchange, 'topic', { durable: false });
    const { name } = await channel.queueDeclare('', { exclusive: true });
    await channel.queueBind(name, exchange, 'a.#');
    const properties = { contentType: 'text/plain', headers: { one: 1, list: ['x'] }, deliveryMode: 2 };
    for (let index = 1; index <= 50; index++) {
      assert.equal(await channel.basicPublish(exchange, `a.${index}`, `body ${index}`, properties), index);
    }
    const got: string[] = [];
    await channel.basicQos(10);
    await new Promise<void>((resolve) => {
      void channel.basicConsume(name, { noAck: false }, async (message) => {
        got.push(`${message.routingKey} ${message.bodyString() ?? ''}`);
        assert.deepEqual(message.properties.headers, { one: 1, list: ['x'] });
        await message.ack();
        if (got.length === 50) resolve();
      });
    });
    assert.deepEqual(
      got,
      Array.from({ length: 50 }, (_, index) => `a.${index + 1} body ${index + 1}`),
    );
    assert.equal(await channel.basicGet(name), null);
    await channel.queueUnbind(name, exchange, 'a.#');
    await channel.exchangeDelete(exchange);
    await channel.close();
    await connection.close();
    assert.deepEqual(bugs(), []);
  });

  test('carries a large body in small frames', async () => {
    const connection = await new AMQPClient(`${url}/?frameMax=8192`).connect();
    const channel = await connection.channel();
    const { name } = await channel.queueDeclare('', { exclusive: true });
    const body = 'x'.repeat(1_000_000);
    await channel.basicPublish('', name, body);
    const message = await channel.basicGet(name, { noAck: true });
    assert.equal(message?.bodyString(), body);
    await connection.close();
    assert.deepEqual(bugs(), []);
  });

  test('is told why a channel ends', async () => {
    const connection = await new AMQPClient(url).connect();
    const channel = await connection.channel();
    const name = unique('none');
    await assert.rejects(channel.queueDeclare(name, { passive: true }), /NOT_FOUND - no queue/);
    await connection.close();
  });
});
