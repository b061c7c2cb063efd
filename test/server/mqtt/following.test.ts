/** What a client consumes follows what it subscribes to, whatever it had before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTarget } from './broker.ts';
import { MqttClient } from './client.ts';
import { subscribe, unsubscribe } from './packet.ts';

const target = await startTarget();

async function opened(name: string): Promise<MqttClient> {
  const client = new MqttClient(target.port, 5, name);
  await client.connect();
  return client;
}

test('one more subscription is not paid for with a look at all others', async (t) => {
  if (target.own === null) return;
  const client = await opened('many');
  await client.subscribe('first', { qos: 1 });
  const { subscriptions } = target.own.broker.requireVhost('/').subscribers.find('guest', 'many')!;
  const looks = t.mock.method(subscriptions, 'values').mock;
  await client.subscribe('second', { qos: 1 });
  await client.subscribe('$share/group/third', { qos: 1 });
  client.send(unsubscribe(5, 9, ['first']));
  await client.expect('unsuback');
  assert.equal(looks.callCount(), 0);
  const publisher = await opened('publisher');
  await publisher.publish('second', 'to the second', { qos: 1 });
  await publisher.publish('third', 'to the third', { qos: 1 });
  assert.deepEqual((await client.messages(2)).map(({ payload }) => payload).sort(), ['to the second', 'to the third']);
  client.drop();
  publisher.drop();
});

test('a shared subscription that is left before it was answered is not consumed', async () => {
  if (target.own === null) return;
  const client = await opened('hasty');
  const filter = '$share/hasty/topic';
  client.send(subscribe(5, 1, [filter], { qos: 1 }), unsubscribe(5, 2, [filter]));
  await client.expect('suback');
  await client.expect('unsuback');
  client.send(
    subscribe(5, 3, [filter], { qos: 1 }),
    unsubscribe(5, 4, [filter]),
    subscribe(5, 5, [filter], { qos: 1 }),
  );
  for (const type of ['suback', 'unsuback', 'suback'] as const) await client.expect(type);
  await client.publish('topic', 'once', { qos: 1 });
  await client.message('once');
  await client.quiet();
  client.drop();
});
