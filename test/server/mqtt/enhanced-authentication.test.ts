import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Authenticator } from '../../../src/server/mqtt/index.ts';
import { startTarget } from './broker.ts';
import type { MqttClient } from './client.ts';
import { conformsOn } from './conforms.ts';
import { auth, connect, packet, publish } from './packet.ts';
import { properties, u8 } from './properties.ts';

/** The client is asked twice, and has to say what it was asked. */
const echo: Authenticator = {
  method: 'ECHO',
  begin() {
    let asked = 0;
    return {
      step(data) {
        if (data?.toString() === 'fail') throw new Error('as asked');
        if (asked > 0) assert.equal(data?.toString(), `question ${asked}`);
        return ++asked > 2
          ? { user: 'guest', data: Buffer.from('welcome') }
          : { data: Buffer.from(`question ${asked}`) };
      },
    };
  },
};

const target = await startTarget({ authenticators: [echo] });
const conforms = conformsOn(target);

async function questions(client: MqttClient): Promise<void> {
  for (const question of ['question 1', 'question 2']) {
    const asked = await client.expect('auth');
    assert.equal(asked.reason, 0x18);
    assert.deepEqual([asked.properties.authMethod, asked.properties.authData], ['ECHO', question]);
    client.send(auth(0x18, { authMethod: 'ECHO', authData: question }));
  }
}

const own = target.own !== null;
const asking = (client: MqttClient): Buffer =>
  connect(5, { clientId: client.clientId, properties: { authMethod: 'ECHO', authData: 'hello' } });

if (own) {
  conforms(
    'a client logs in by questions and answers of its method',
    { v5: '3.15.2-1 4.12.0-2 4.12.0-3 4.12.0-5 3.2.0-1' },
    async ({ raw, topic }) => {
      const client = raw();
      client.send(asking(client));
      await questions(client);
      const connack = await client.expect('connack');
      assert.equal(connack.reason, 0);
      assert.deepEqual([connack.properties.authMethod, connack.properties.authData], ['ECHO', 'welcome']);
      await client.publish(topic, 'in', { qos: 1 });
    },
  );

  conforms('AUTH says nothing that the client has no room for', { v5: '3.15.2-2 3.15.2-3' }, async ({ raw }) => {
    const client = raw();
    const properties = { authMethod: 'ECHO', authData: 'hello', maximumPacketSize: 40 };
    client.send(connect(5, { clientId: client.clientId, properties }));
    for (const question of ['question 1', 'question 2']) {
      const { bytes } = await client.expect('auth');
      assert.ok(bytes.length <= 40);
      client.send(auth(0x18, { authMethod: 'ECHO', authData: question }));
    }
    await client.expect('connack');
  });

  conforms('a login that fails is refused and ends the connection', { v5: '4.12.0-4 3.2.2-7' }, async ({ raw }) => {
    for (const whole of [false, true]) {
      const client = raw();
      client.send(asking(client));
      await client.expect('auth');
      client.send(auth(0x18, { authMethod: 'ECHO', authData: whole ? 'wrong' : 'fail' }));
      await client.refusedConnect(0x80, 0x87, 0x86, 0x8c);
    }
  });

  conforms('an unknown method is refused', { v5: '4.12.0-1' }, async ({ raw }) => {
    const client = raw();
    client.send(connect(5, { clientId: client.clientId, properties: { authMethod: 'NONE' } }));
    await client.refusedConnect(0x8c, 0x87);
  });

  conforms('a client without a method gets no AUTH, and no method', { v5: '4.12.0-6' }, async ({ reopen }) => {
    const [, connack] = await reopen('plain');
    assert.equal(connack.properties.authMethod, undefined);
  });

  conforms('nothing but AUTH may come while a login is under way', { v5: '3.1.2-30 4.13.1-1' }, async (world) => {
    const watcher = await world.open('watcher');
    await watcher.subscribe(world.topic);
    const client = world.raw();
    client.send(asking(client));
    await client.expect('auth');
    client.send(publish(5, world.topic, 'early'));
    await client.refusedConnect(0x82, 0x81);
    await watcher.quiet();
  });

  conforms(
    'an AUTH of another method, or with a wrong reason, is refused',
    { v5: '4.12.0-5 3.15.2-1' },
    async ({ raw }) => {
      for (const bad of [
        auth(0x18, { authMethod: 'OTHER', authData: 'question 1' }),
        auth(0x19, { authMethod: 'ECHO', authData: 'question 1' }),
        auth(0x00, { authMethod: 'ECHO' }),
        auth(0x18, {}),
        packet('auth', 3, u8(0x18), properties({ authMethod: 'ECHO' })),
      ]) {
        const client = raw();
        client.send(asking(client));
        await client.expect('auth');
        client.send(bad);
        await client.refusedConnect(0x81, 0x82, 0x8c, 0x87);
      }
    },
  );

  conforms('a client may log in again', { v5: '4.12.1-1 4.12.0-5' }, async ({ raw, topic }) => {
    const client = raw();
    client.send(asking(client));
    await questions(client);
    await client.expect('connack');
    client.send(auth(0x19, { authMethod: 'ECHO', authData: 'hello again' }));
    await questions(client);
    const done = await client.expect('auth');
    assert.deepEqual([done.reason, done.properties.authMethod], [0, 'ECHO']);
    await client.publish(topic, 'in', { qos: 1 });
  });

  conforms('a client that fails to log in again is cut', { v5: '4.12.1-2' }, async ({ raw }) => {
    for (const again of [
      { authMethod: 'ECHO', authData: 'fail' },
      { authMethod: 'OTHER', authData: 'x' },
    ]) {
      const client = raw();
      client.send(asking(client));
      await questions(client);
      await client.expect('connack');
      client.send(auth(0x19, again));
      await client.refused(0x80, 0x87, 0x82, 0x8c);
    }
  });
} else {
  test('enhanced authentication needs our server', { skip: 'Mosquitto has no method to ask for' }, () => undefined);
}
