/** What a session, a retained message and an exchange of QoS 2 are after the broker has stopped and started again, at every point between two packets. */
import assert from 'node:assert/strict';
import { startTarget } from './broker.ts';
import type { MqttClient } from './client.ts';
import { conformsOn, type World } from './conforms.ts';
import { acknowledge, publish, type Version } from './packet.ts';

const target = await startTarget({ durable: true });
const conforms = conformsOn(target);

conforms(
  'sessions, subscriptions, waiting and retained messages outlive the broker',
  { v3: '3.1.2-4 3.1.2-5 3.1.2-7 4.1.0-1 3.3.1-5', v5: '3.1.2-5 3.1.2-23 4.1.0-1 3.3.1-5' },
  async ({ open, reopen, topic, version }) => {
    const identifier = version === 5 ? { properties: { subscriptionIdentifier: 77 } } : {};
    const keeper = await open('keeper', { durable: true });
    await keeper.subscribe(`${topic}/+`, { qos: 2, ...identifier });
    await keeper.subscribe(`${topic}/zero/#`, { qos: 0 });
    await keeper.disconnect();
    const publisher = await open('publisher');
    await publisher.publish(`${topic}/a`, 'one', { qos: 1 });
    await publisher.publish(`${topic}/b`, 'two', { qos: 2, retain: true });
    await publisher.publish(`${topic}/c`, 'removed', { qos: 1, retain: true });
    await publisher.publish(`${topic}/c`, '', { qos: 1, retain: true });
    await target.restart();
    const [back, connack] = await reopen('keeper', { durable: true });
    assert.equal(connack.sessionPresent, true);
    const messages = await back.messages(4);
    assert.deepEqual(
      messages.map(({ payload, qos, dup, properties }) => [payload, qos, dup, properties.subscriptionIdentifier]),
      [
        ['one', 1],
        ['two', 2],
        ['removed', 1],
        ['', 1],
      ].map(([payload, qos]) => [payload, qos, false, version === 5 ? [77] : undefined]),
    );
    const late = await open('late');
    await late.subscribe(`${topic}/+`, { qos: 2 });
    const retained = await late.message('two');
    assert.deepEqual([retained.retain, retained.qos], [true, 2]);
    await late.quiet();
    const again = await open('publisher');
    await again.publish(`${topic}/zero/x`, 'live', { qos: 1 });
    assert.equal((await back.message('live')).qos, 0);
    await again.publish(`${topic}/a`, 'after', { qos: 1 });
    await back.message('after');
    await back.quiet();
  },
);

conforms(
  'a clean session does not outlive the broker',
  { v3: '3.1.2-6', v5: '4.1.0-2' },
  async ({ open, reopen, topic }) => {
    const client = await open('client');
    await client.subscribe(topic, { qos: 1 });
    await target.restart();
    const [back, connack] = await reopen('client', { durable: true });
    assert.equal(connack.sessionPresent, false);
    await back.publish(topic, 'x', { qos: 1 });
    await back.quiet();
  },
);

conforms(
  'what was on its way comes again with its packet identifier after a restart',
  { v3: '4.4.0-1 4.6.0-1 3.3.1-1', v5: '4.4.0-1 3.3.1-1' },
  async ({ open, topic }) => {
    const first = await open('keeper', { durable: true });
    await first.subscribe(topic, { qos: 1 });
    const publisher = await open('publisher');
    for (const payload of ['one', 'two', 'three']) await publisher.publish(topic, payload, { qos: 1 });
    await first.message('one');
    const [two, three] = [await first.expect('publish'), await first.expect('publish')];
    await first.ping();
    await target.restart();
    const second = await open('keeper', { durable: true });
    const again = await second.messages(2);
    assert.deepEqual(
      again.map(({ id, payload, dup }) => [id, payload, dup]),
      [
        [two.id, 'two', true],
        [three.id, 'three', true],
      ],
    );
    await second.quiet();
  },
);

/** The broker is stopped and started between any two packets of a publish: before `at` 0 PUBLISH, 1 PUBREC, 2 PUBREL, 3 PUBCOMP is a restart, and the client goes on as the specification says. */
async function publishOnce(version: Version, open: World['open'], topic: string, at: number): Promise<void> {
  const durable = { durable: true };
  let client = await open('publisher', durable);
  const message = (dup: boolean): Buffer => publish(version, topic, 'once', { qos: 2, id: 7, dup });
  const restarted = async (): Promise<MqttClient> => {
    await target.restart();
    return open('publisher', durable);
  };
  if (at === 0) client = await restarted();
  client.send(message(false));
  if (at === 1) {
    // Sent, but its answer is lost with the connection.
    client = await restarted();
    client.send(message(true));
  }
  assert.equal((await client.expect('pubrec')).id, 7);
  if (at === 2) {
    client = await restarted();
    client.send(acknowledge('pubrel', 7));
  } else client.send(acknowledge('pubrel', 7));
  if (at === 3) {
    client = await restarted();
    client.send(acknowledge('pubrel', 7));
  }
  assert.equal((await client.expect('pubcomp')).id, 7);
  // The identifier is free for the next.
  await client.publish(topic, 'next', { qos: 2, id: 7 });
}

for (const at of [0, 1, 2, 3]) {
  conforms(
    `a QoS 2 message is received once, with a restart before packet ${at + 1} of its exchange`,
    { v3: '4.3.3-2 4.1.0-1', v5: '4.3.3-10 4.3.3-12 4.1.0-1' },
    async ({ open, topic, version }) => {
      const keeper = await open('keeper', { durable: true });
      await keeper.subscribe(topic, { qos: 2 });
      await keeper.disconnect();
      await publishOnce(version, open, topic, at);
      const back = await open('keeper', { durable: true });
      await back.message('once');
      await back.message('next');
      await back.quiet();
    },
  );

  conforms(
    `a QoS 2 message is delivered once, with a restart before packet ${at + 1} of its exchange`,
    { v3: '4.3.3-1 4.4.0-1 4.1.0-1', v5: '4.3.3-3 4.3.3-5 4.3.3-6 4.4.0-1 4.1.0-1' },
    async ({ open, topic }) => {
      let client = await open('keeper', { durable: true });
      await client.subscribe(topic, { qos: 2 });
      const again = async (): Promise<void> => {
        await target.restart();
        client = await open('keeper', { durable: true });
      };
      if (at === 0) await client.disconnect();
      await (await open('publisher')).publish(topic, 'once', { qos: 2 });
      if (at === 0) await again();
      let message = await client.expect('publish');
      const { id } = message;
      if (at === 1) {
        await again();
        message = await client.expect('publish');
        assert.deepEqual([message.id, message.dup, message.payload], [id, true, 'once']);
      }
      client.send(acknowledge('pubrec', id));
      await client.expectRelease(id);
      if (at >= 2) {
        await again();
        await client.expectRelease(id);
      }
      client.send(acknowledge('pubcomp', id));
      await client.ping();
      if (at === 3) await again();
      await client.quiet();
    },
  );
}

conforms('a will that waits comes after a restart', { v5: '3.1.2-8' }, async ({ open, topic }) => {
  const watcher = await open('watcher', { durable: true });
  await watcher.subscribe(topic, { qos: 1 });
  const will = { topic, payload: 'the will', qos: 1, properties: { willDelay: 5 } };
  const client = await open('client', { properties: { sessionExpiry: 100 }, will });
  client.drop();
  await watcher.quiet();
  await target.restart();
  await (await open('watcher', { durable: true })).message('the will');
});

conforms('a restart does not forget when a session ends', { v5: '3.1.2-23 4.1.0-2' }, async ({ open, reopen }) => {
  const brief = await open('brief', { properties: { sessionExpiry: 1 } });
  await brief.disconnect();
  const lasting = await open('lasting', { properties: { sessionExpiry: 100 } });
  await lasting.disconnect();
  await target.restart();
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.equal((await reopen('brief', { clean: false }))[1].sessionPresent, false);
  assert.equal((await reopen('lasting', { clean: false }))[1].sessionPresent, true);
});
