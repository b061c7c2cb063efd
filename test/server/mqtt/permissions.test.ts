import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTarget } from './broker.ts';
import { conformsOn } from './conforms.ts';
import { connect, publish } from './packet.ts';

const target = await startTarget();
const conforms = conformsOn(target);
const ann = { user: 'ann', password: 'secret' };

if (target.own === null) {
  test('permissions need our server', { skip: 'Mosquitto lets everybody do everything here' }, () => undefined);
} else {
  const { users } = target.own.broker;
  const hasVhost = (): boolean => true;
  await users.put('ann', { password: 'secret', tags: [] }, 'new');
  await users.setPermissions('ann', '/', { configure: '.*', write: '.*', read: '.*' }, hasVhost);
  const topics = {
    user: 'ann',
    vhost: '/',
    exchange: 'amq.topic',
    write: '^(mine|quiet)\\.',
    read: '^(mine|quiet)\\.',
  };
  await users.setTopicPermissions(topics, hasVhost);

  conforms(
    'a publish that is not permitted is refused, or ends the connection of a client that can not be told',
    { v3: '3.3.5-2', v5: '3.4.2-1 3.5.2-1' },
    async ({ open, version, topic }) => {
      const watcher = await open('watcher');
      await watcher.subscribe(`${topic}/#`, { qos: 2 });
      for (const qos of [0, 1, 2]) {
        const client = await open(`ann${qos}`, ann);
        client.send(publish(version, `${topic}/x`, 'not permitted', { qos, id: 1 }));
        if (qos === 0) await client.ping();
        else if (version === 4) await client.refused();
        else assert.equal((await client.expect(qos === 1 ? 'puback' : 'pubrec')).reason, 0x87);
      }
      await watcher.quiet();
    },
  );

  conforms('a packet identifier that was refused is free for another message', { v5: '4.3.3-9' }, async (world) => {
    const { open, topic } = world;
    const watcher = await open('watcher');
    await watcher.subscribe(`mine/${topic}`, { qos: 2 });
    const client = await open('ann', ann);
    client.send(publish(5, topic, 'refused', { qos: 2, id: 9 }));
    assert.equal((await client.expect('pubrec')).reason, 0x87);
    await client.publish(`mine/${topic}`, 'another', { qos: 2, id: 9 });
    await watcher.message('another');
    await watcher.quiet();
  });

  conforms(
    'a subscription that is not permitted has its own code among the others',
    { v3: '3.8.4-5 3.9.3-1 3.9.3-2', v5: '3.8.4-6 3.8.4-7 3.9.3-1 3.9.3-2' },
    async ({ open, topic, version }) => {
      const client = await open('ann', ann);
      const { reasons } = await client.subscribe([`mine/${topic}`, topic, '#', `mine/${topic}/+`], { qos: 1 });
      assert.deepEqual([reasons[0], reasons[3]], [1, 1]);
      for (const reason of [reasons[1]!, reasons[2]!]) {
        assert.ok((version === 5 ? [0x80, 0x87] : [0x80]).includes(reason), `reason ${reason}`);
      }
      await (await open('publisher')).publish(topic, 'not for ann', { qos: 1 });
      await client.quiet();
    },
  );

  conforms(
    'why a subscription is refused is told where the client wants to know, and has room for it',
    { v5: '3.1.2-29 3.9.2-1' },
    async ({ open, topic }) => {
      const told = await (await open('told', ann)).subscribe(topic);
      assert.ok((told.properties.reasonString?.length ?? 0) > 0);
      for (const [name, properties] of [
        ['silent', { requestProblemInfo: 0 }],
        ['small', { maximumPacketSize: 20 }],
      ] as const) {
        const suback = await (await open(name, { ...ann, properties })).subscribe(topic);
        assert.deepEqual(suback.properties, {});
        assert.equal(suback.reasons.length, 1);
      }
    },
  );

  conforms(
    'what is not permitted is not retained',
    { v3: '3.3.5-2', v5: '3.4.2-1' },
    async ({ open, topic, version }) => {
      const client = await open('ann', ann);
      client.send(publish(version, topic, 'not permitted', { retain: true }));
      await client.ping();
      const other = await open('other');
      await other.subscribe(topic, { qos: 1 });
      await other.quiet();
    },
  );

  conforms('a will that is not permitted is not published', { v3: '3.3.5-2', v5: '3.1.4-2' }, async (world) => {
    const { open, raw, topic, version } = world;
    const watcher = await open('watcher');
    await watcher.subscribe([topic, `mine/${topic}`], { qos: 1 });
    const client = raw('ann');
    client.send(connect(version, { clientId: client.clientId, ...ann, will: { topic, payload: 'not permitted' } }));
    // It may be refused as a whole.
    const connack = await client.expect('connack');
    assert.ok([0, 5, 0x87].includes(connack.reason));
    client.drop();
    const other = await open('other', { ...ann, will: { topic: `mine/${topic}`, payload: 'permitted' } });
    other.drop();
    await watcher.message('permitted');
    await watcher.quiet();
  });

  conforms('a session of another user is not found under its name', { v3: '3.1.3-2', v5: '3.1.3-2' }, async (world) => {
    const { open, reopen, topic } = world;
    const first = await open('same', { durable: true });
    await first.subscribe(`mine/${topic}`, { qos: 1 });
    const [second, connack] = await reopen('same', { durable: true, ...ann });
    assert.equal(connack.sessionPresent, false);
    await (await open('publisher')).publish(`mine/${topic}`, 'm', { qos: 1 });
    await first.message('m');
    await second.quiet();
  });
}
