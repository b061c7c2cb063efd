/** Clients of one identifier that come while the session of an earlier one is still being stored. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTarget } from './broker.ts';
import { MqttClient } from './client.ts';
import { connect, type Version } from './packet.ts';

const target = await startTarget();
const sessionTakenOver = 0x8e;

/** Holds the next session that is stored, until what this answers is called. */
function holdStore(t: TestContext): { readonly held: Promise<void>; readonly letGo: () => void } {
  const { subscribers } = target.own!.broker.vhost('/')!;
  const setRecord = subscribers.setRecord.bind(subscribers);
  let letGo = (): void => undefined;
  let reached = (): void => undefined;
  const held = new Promise<void>((resolve) => (reached = resolve));
  const released = new Promise<void>((resolve) => (letGo = resolve));
  const mock = t.mock.method(subscribers, 'setRecord', async (...given: Parameters<typeof setRecord>) => {
    mock.mock.restore();
    reached();
    await released;
    await setRecord(...given);
  });
  return { held, letGo };
}

function ask(client: MqttClient, version: Version, clean: boolean): void {
  const will = { topic: 'will', payload: client.clientId };
  const lasting = version === 5 ? { properties: { sessionExpiry: 3600 } } : {};
  client.send(connect(version, { clientId: 'one', clean, will, ...lasting }));
}

async function isHeard(clients: number): Promise<void> {
  while (target.own!.server.connectionCount !== clients) await sleep(1);
}

for (const version of [4, 5] as const) {
  const name = version === 4 ? '3.1.1' : '5.0';

  test(`who is gone before its turn takes no session over (${name})`, async (t) => {
    if (target.own === null) return;
    const { held, letGo } = holdStore(t);
    const first = new MqttClient(target.port, version, 'first');
    ask(first, version, false);
    await held;
    const second = new MqttClient(target.port, version, 'second');
    ask(second, version, false);
    await isHeard(2);
    second.drop();
    await isHeard(1);
    letGo();
    assert.equal((await first.expect('connack')).reason, 0);
    await first.ping();
    first.drop();
    await isHeard(0);
    assert.equal(target.own.server.sessions.offlineCount, 1);
  });

  for (const clean of [false, true]) {
    const how = clean ? 'a clean session' : 'the session';
    test(`who is taken over before it was let in leaves no will, and ${how} goes on (${name})`, async (t) => {
      if (target.own === null) return;
      const heir = new MqttClient(target.port, version, 'heir');
      await heir.connect();
      await heir.subscribe('will', { qos: 1 });
      const { held, letGo } = holdStore(t);
      const first = new MqttClient(target.port, version, 'first');
      ask(first, version, false);
      await held;
      const second = new MqttClient(target.port, version, 'second');
      ask(second, version, clean);
      await isHeard(3);
      // Its CONNECT is in turn behind the one that is held.
      for (let i = 0; i < 5; i++) await heir.ping();
      letGo();
      await first.refusedConnect(sessionTakenOver);
      const { reason, sessionPresent } = await second.expect('connack');
      assert.deepEqual([reason, sessionPresent], [0, !clean]);
      await heir.quiet();
      second.drop();
      await heir.message('second');
      heir.drop();
      first.drop();
      await isHeard(0);
    });
  }
}
