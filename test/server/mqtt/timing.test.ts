/** What takes its time, all at once. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTarget } from './broker.ts';
import { conformsOn } from './conforms.ts';
import { acknowledge, publish } from './packet.ts';

const target = await startTarget();
const conforms = conformsOn(target);

/** Of 100 seconds, begun before then. */
const leastAfter = (begunAt: number): number => 98 - Math.ceil((Date.now() - begunAt) / 1000);

describe('time', { concurrency: true }, () => {
  conforms(
    'a client that is silent for longer than its keep-alive is cut, and its will published',
    { v3: '3.1.2-24 3.1.2-8', v5: '3.1.2-22 3.2.2-22 3.1.2-8' },
    async ({ open, topic }) => {
      const watcher = await open('watcher');
      await watcher.subscribe(topic);
      const client = await open('client', { keepAlive: 1, will: { topic, payload: 'the will' } });
      await client.refused(0x8d);
      await watcher.message('the will');
    },
  );

  conforms(
    'any packet keeps the connection',
    { v3: '3.1.2-24 3.12.4-1', v5: '3.1.2-22 3.12.4-1' },
    async ({ open, topic }) => {
      const client = await open('client', { keepAlive: 1 });
      for (let count = 0; count < 2; count++) {
        await sleep(700);
        await client.ping();
        await sleep(700);
        await client.publish(topic, 'x', { qos: 1 });
      }
    },
  );

  conforms('keep-alive 0 keeps the connection', { v3: '3.1.2-24', v5: '3.1.2-22' }, async ({ open }) => {
    const client = await open('client', { keepAlive: 0 });
    await sleep(2_000);
    await client.ping();
  });

  conforms(
    'a session ends when its time is over, and not before',
    { v5: '3.1.2-23 4.1.0-2' },
    async ({ open, reopen, topic }) => {
      const first = await open('brief', { properties: { sessionExpiry: 100 } });
      await first.subscribe(topic, { qos: 1 });
      await first.disconnect();
      const [second, connack] = await reopen('brief', { clean: false, properties: { sessionExpiry: 1 } });
      assert.equal(connack.sessionPresent, true);
      await second.disconnect();
      await sleep(1_600);
      const [third, late] = await reopen('brief', { clean: false });
      assert.equal(late.sessionPresent, false);
      await (await open('publisher')).publish(topic, 'x', { qos: 1 });
      await third.quiet();
    },
  );

  conforms(
    'a session does not end while its client is connected',
    { v5: '4.1.0-1' },
    async ({ open, reopen, topic }) => {
      const client = await open('client', { properties: { sessionExpiry: 1 } });
      await client.subscribe(topic, { qos: 1 });
      await sleep(1_600);
      await client.publish(topic, 'm', { qos: 1 });
      await client.message('m');
      await client.disconnect();
      assert.equal((await reopen('client', { clean: false }))[1].sessionPresent, true);
    },
  );

  conforms(
    'a message that waited for too long is not delivered',
    { v5: '3.3.2-5 3.3.2-6' },
    async ({ open, topic }) => {
      const first = await open('keeper', { durable: true });
      await first.subscribe(topic, { qos: 1 });
      await first.disconnect();
      const publisher = await open('publisher');
      await publisher.publish(topic, 'brief', { qos: 1, properties: { messageExpiry: 1 } });
      const publishedAt = Date.now();
      await publisher.publish(topic, 'lasting', { qos: 1, properties: { messageExpiry: 100 } });
      await publisher.publish(topic, 'for ever', { qos: 1 });
      await sleep(1_500);
      const second = await open('keeper', { durable: true });
      const lasting = await second.message('lasting');
      const left = lasting.properties.messageExpiry ?? 0;
      assert.ok(left >= leastAfter(publishedAt) && left <= 99, `${left} seconds left`);
      assert.equal((await second.message('for ever')).properties.messageExpiry, undefined);
      await second.quiet();
    },
  );

  conforms('a retained message goes when its time is over', { v5: '3.3.2-5 3.3.2-6' }, async ({ open, topic }) => {
    const publisher = await open('publisher');
    const brief = async (messageExpiry: number): Promise<unknown> =>
      publisher.publish(`${topic}/brief`, 'brief', { qos: 1, retain: true, properties: { messageExpiry } });
    await brief(100);
    const publishedAt = Date.now();
    await publisher.publish(`${topic}/long`, 'long', { qos: 1, retain: true, properties: { messageExpiry: 100 } });
    const early = await open('early');
    await early.subscribe(`${topic}/brief`, { qos: 1 });
    await early.message('brief');
    await brief(1);
    await sleep(1_500);
    const late = await open('late');
    await late.subscribe(`${topic}/+`, { qos: 1 });
    const left = (await late.message('long')).properties.messageExpiry ?? 0;
    assert.ok(left >= leastAfter(publishedAt) && left <= 99, `${left} seconds left`);
    await late.quiet();
  });

  conforms('a message that was sent no longer expires', { v5: '4.3.3-7' }, async ({ open, topic }) => {
    const first = await open('keeper', { durable: true });
    await first.subscribe(topic, { qos: 2 });
    const publisher = await open('publisher');
    await publisher.publish(topic, 'm', { qos: 2, properties: { messageExpiry: 3 } });
    await first.expect('publish');
    first.drop();
    await sleep(3_500);
    const second = await open('keeper', { durable: true });
    assert.equal((await second.message('m')).dup, true);
    await second.quiet();
  });

  conforms(
    'an exchange of QoS 2 is completed though its message has expired',
    { v5: '4.3.3-13' },
    async ({ open, topic }) => {
      const keeper = await open('keeper', { durable: true });
      await keeper.subscribe(topic, { qos: 2 });
      await keeper.disconnect();
      const publisher = await open('publisher');
      publisher.send(publish(5, topic, 'x', { qos: 2, id: 3, properties: { messageExpiry: 1 } }));
      assert.equal((await publisher.expect('pubrec')).id, 3);
      await sleep(1_500);
      assert.equal((await publisher.release(3)).reason, 0);
      await (await open('keeper', { durable: true })).quiet();
    },
  );

  conforms('what is held back for too long is not delivered', { v5: '3.3.2-5' }, async ({ open, topic }) => {
    const client = await open('client', { properties: { receiveMaximum: 1 } });
    await client.subscribe(topic, { qos: 1 });
    const publisher = await open('publisher');
    await publisher.publish(topic, 'first', { qos: 1 });
    await publisher.publish(topic, 'brief', { qos: 1, properties: { messageExpiry: 1 } });
    await publisher.publish(topic, 'last', { qos: 1 });
    const first = await client.expect('publish');
    await sleep(1_500);
    client.send(acknowledge('puback', first.id));
    await client.message('last');
  });
});
