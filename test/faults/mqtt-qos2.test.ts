/** QoS 2 with the broker killed between any two packets of the exchange, in both directions: each message has its effect once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MqttClient } from '../server/mqtt/client.ts';
import { acknowledge, type Packet, publish, type Version } from '../server/mqtt/packet.ts';
import { begin, type KilledBroker } from './killed-mqtt-broker.ts';

async function open(broker: KilledBroker, version: Version, name: string): Promise<MqttClient> {
  const client = new MqttClient(broker.port, version, name);
  await client.connect({ durable: true });
  return client;
}

/** How far an exchange has come when the broker is killed. */
const stages = ['nothing', 'PUBLISH sent', 'PUBREC came', 'PUBREL sent', 'PUBCOMP came'] as const;
type Stage = (typeof stages)[number];
const id = 7;

async function publishUntil(client: MqttClient, topic: string, stage: Stage): Promise<void> {
  if (stage === 'nothing') return;
  client.send(publish(client.version, topic, 'once', { qos: 2, id }));
  if (stage === 'PUBLISH sent') return;
  await client.expect('pubrec');
  if (stage === 'PUBREC came') return;
  client.send(acknowledge('pubrel', id));
  if (stage === 'PUBREL sent') return;
  await client.expect('pubcomp');
}

async function publishFrom(client: MqttClient, topic: string, stage: Stage): Promise<void> {
  if (stage === 'nothing' || stage === 'PUBLISH sent') {
    client.send(publish(client.version, topic, 'once', { qos: 2, id, dup: stage !== 'nothing' }));
    await client.expect('pubrec');
  }
  if (stage !== 'PUBCOMP came') await client.release(id);
}

for (const version of [4, 5] as const) {
  const name = version === 4 ? '3.1.1' : '5.0';

  test(`a publish is received once, wherever a kill meets it (${name})`, { timeout: 300_000 }, async (context) => {
    const broker = await begin(context);
    const keeper = await open(broker, version, 'keeper');
    for (const at of stages.keys()) await keeper.subscribe(`t/${at}`, { qos: 2 });
    const clients = await Promise.all(stages.map((_, at) => open(broker, version, `publisher${at}`)));
    for (const [at, stage] of stages.entries()) await publishUntil(clients[at]!, `t/${at}`, stage);
    await broker.restart();
    for (const [at, stage] of stages.entries()) {
      const client = await open(broker, version, `publisher${at}`);
      await publishFrom(client, `t/${at}`, stage);
      await client.publish(`t/${at}`, 'next', { qos: 2, id });
      client.drop();
    }
    await broker.restart();
    const back = await open(broker, version, 'keeper');
    // What the keeper was sent before it did not acknowledge, so it comes again.
    const came = new Map<string, string[]>();
    for (const { topic, payload } of await back.messages(2 * stages.length)) {
      came.set(topic, [...(came.get(topic) ?? []), payload]);
    }
    for (const at of stages.keys()) assert.deepEqual(came.get(`t/${at}`), ['once', 'next'], stages[at]);
    await back.quiet();
    back.drop();
  });

  test(`a delivery is completed once, wherever a kill meets it (${name})`, { timeout: 300_000 }, async (context) => {
    const broker = await begin(context);
    const clients = await Promise.all(stages.map((_, at) => open(broker, version, `keeper${at}`)));
    for (const [at, client] of clients.entries()) {
      await client.subscribe(`t/${at}`, { qos: 2 });
      if (stages[at] === 'nothing') await client.disconnect();
    }
    const publisher = await open(broker, version, 'publisher');
    const sent: Packet[] = [];
    for (const [at, stage] of stages.entries()) {
      await publisher.publish(`t/${at}`, 'once', { qos: 2 });
      if (stage === 'nothing') continue;
      const client = clients[at]!;
      const message = (sent[at] = await client.expect('publish'));
      if (stage === 'PUBLISH sent') continue;
      client.send(acknowledge('pubrec', message.id));
      if (stage === 'PUBREC came') continue;
      await client.expectRelease(message.id);
      if (stage === 'PUBREL sent') continue;
      client.send(acknowledge('pubcomp', message.id));
      await client.ping();
    }
    await broker.restart();
    for (const [at, stage] of stages.entries()) {
      const client = await open(broker, version, `keeper${at}`);
      const before = sent[at];
      if (stage === 'nothing') await client.message('once');
      else if (stage === 'PUBLISH sent') {
        const again = await client.message('once');
        assert.deepEqual([again.id, again.dup], [before!.id, true]);
      } else {
        // PUBREC may or may not have been read, and PUBCOMP as well: either packet names the same message, which is completed and not delivered anew.
        let next = stage === 'PUBCOMP came' ? await firstOf(client) : await client.next('PUBLISH or PUBREL');
        if (next?.type === 'publish') {
          assert.equal(stage, 'PUBREC came');
          assert.deepEqual([next.id, next.dup], [before!.id, true]);
          client.send(acknowledge('pubrec', next.id));
          next = await client.expectRelease(next.id);
        }
        assert.ok(next !== null || stage === 'PUBCOMP came', 'PUBREL is sent again');
        if (next !== null) {
          assert.equal(next.id, before!.id);
          client.send(acknowledge('pubcomp', next.id));
        }
      }
      await client.quiet();
      await client.disconnect();
    }
    await broker.restart();
    for (const at of stages.keys()) {
      const client = await open(broker, version, `keeper${at}`);
      await client.quiet();
      client.drop();
    }
  });
}

/** PUBREL, if one is there before the answer to a ping: what a session has open is sent right behind CONNACK. */
async function firstOf(client: MqttClient): Promise<Packet | null> {
  await client.ping();
  return client.pending > 0 ? client.next() : null;
}

test(
  'messages of QoS 2 arrive once each while the broker is killed again and again',
  { timeout: 300_000 },
  async (context) => {
    const broker = await begin(context);
    const wanted = 600;
    const window = 20;
    const delivered: string[] = [];
    /** Packet identifiers whose message was delivered and not released. */
    const held = new Set<number>();
    let begun = 0;
    /** Publishes under way: their payload, and whether PUBREC came. */
    const under = new Map<number, { readonly payload: string; released: boolean }>();
    let over = 0;

    const subscriberLife = async (client: MqttClient): Promise<void> => {
      for (let packet = await client.next(); packet !== null; packet = await client.next()) {
        if (packet.type === 'publish') {
          if (!held.has(packet.id)) {
            held.add(packet.id);
            delivered.push(packet.payload);
          }
          client.send(acknowledge('pubrec', packet.id));
        } else if (packet.type === 'pubrel') {
          held.delete(packet.id);
          client.send(acknowledge('pubcomp', packet.id));
        }
      }
    };
    const fill = (client: MqttClient): void => {
      while (under.size < window && begun < wanted) {
        const packetId = (begun % 100) + 1;
        if (under.has(packetId)) return;
        const payload = `m${begun++}`;
        under.set(packetId, { payload, released: false });
        client.send(publish(5, 'load', payload, { qos: 2, id: packetId }));
      }
    };
    const publisherLife = async (client: MqttClient): Promise<void> => {
      for (const [packetId, { payload, released }] of under) {
        client.send(
          released ? acknowledge('pubrel', packetId) : publish(5, 'load', payload, { qos: 2, id: packetId, dup: true }),
        );
      }
      fill(client);
      while (over < wanted) {
        const packet = await client.next();
        if (packet === null) return;
        if (packet.type === 'pubrec') {
          under.get(packet.id)!.released = true;
          client.send(acknowledge('pubrel', packet.id));
        } else if (packet.type === 'pubcomp') {
          under.delete(packet.id);
          over++;
          fill(client);
        }
      }
    };
    let done = false;
    let subscribed = false;
    const again = async (name: string, life: (client: MqttClient) => Promise<void>): Promise<void> => {
      while (!done) {
        const client = new MqttClient(broker.port, 5, name);
        context.after(() => client.drop());
        try {
          await client.connect({ durable: true });
          if (name === 'subscriber' && !subscribed) {
            await client.subscribe('load', { qos: 2 });
            subscribed = true;
          }
          await life(client);
        } catch (error) {
          if (!client.ended) throw error;
        }
        if (name === 'publisher' && over >= wanted) return;
        await sleep(20);
      }
    };
    const subscriber = again('subscriber', subscriberLife).catch((error: unknown) =>
      done ? undefined : Promise.reject(error as Error),
    );
    while (!subscribed) await sleep(10);
    const publisher = again('publisher', publisherLife);
    for (let round = 0; round < 3; round++) {
      const before = over;
      while (over < before + 60) await sleep(5);
      await sleep(Math.random() * 30);
      await broker.restart();
    }
    await publisher;
    while (delivered.length < wanted) await sleep(10);
    await sleep(100);
    done = true;
    await broker.kill();
    await subscriber;
    assert.deepEqual(
      [...delivered].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1))),
      Array.from({ length: wanted }, (_, at) => `m${at}`),
    );
  },
);
