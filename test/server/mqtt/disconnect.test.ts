import assert from 'node:assert/strict';
import { startTarget } from './broker.ts';
import { conformsOn } from './conforms.ts';
import { connect, disconnect, packet, pingreq, publish, subscribe } from './packet.ts';
import { u8 } from './properties.ts';

const target = await startTarget({
  settings: { maxKeepAliveSeconds: 60, connectTimeoutMs: 1_500 },
  redirect: (clientId) => (clientId.endsWith('elsewhere') ? 'other:1883' : null),
});
const conforms = conformsOn(target);

conforms('PINGREQ is answered with PINGRESP', { v3: '3.12.4-1', v5: '3.12.4-1' }, async ({ open }) => {
  const client = await open();
  client.send(pingreq, pingreq, pingreq);
  for (let count = 0; count < 3; count++) assert.equal((await client.expect('pingresp')).bytes.toString('hex'), 'd000');
});

conforms(
  'reserved flags of DISCONNECT are malformed',
  { v3: '3.14.1-1', v5: '3.14.1-1' },
  async ({ open, topic, version }) => {
    const watcher = await open('watcher');
    await watcher.subscribe(topic);
    for (const flags of [1, 2, 4, 8, 15]) {
      const client = await open('client', { will: { topic, payload: 'malformed' } });
      client.send(packet('disconnect', flags, ...(version === 5 ? [u8(0)] : [])));
      await client.refused(0x81);
      await watcher.message('malformed');
    }
  },
);

conforms(
  'nothing is done of what follows DISCONNECT',
  { v3: '3.14.4-2', v5: '3.14.4-1' },
  async ({ open, topic, version }) => {
    const watcher = await open('watcher');
    await watcher.subscribe(topic);
    const client = await open('client');
    client.send(Buffer.concat([disconnect(version), publish(version, topic, 'never'), pingreq]));
    assert.deepEqual(await client.untilEnd(), []);
    await watcher.quiet();
  },
);

conforms(
  'the server ends the connection after DISCONNECT',
  { v3: '3.14.4-1', v5: '3.14.4-2' },
  async ({ open, version }) => {
    const client = await open();
    client.send(disconnect(version));
    assert.deepEqual(await client.untilEnd(), []);
  },
);

conforms('DISCONNECT of 5.0 has its reason and properties', { v5: '3.14.2-1 2.2.2-1' }, async ({ open }) => {
  const given = disconnect(5, 0, { reasonString: 'test', userProperty: [['a', 'b']] });
  for (const bytes of [
    Buffer.from('e000', 'hex'),
    Buffer.from('e00100', 'hex'),
    Buffer.from('e0020000', 'hex'),
    given,
  ]) {
    const client = await open();
    client.send(bytes);
    assert.deepEqual(await client.untilEnd(), []);
  }
});

conforms('a reason that a client may not give is refused', { v5: '3.14.2-1' }, async ({ open }) => {
  for (const reason of [0x01, 0x05, 0x7f]) {
    const client = await open();
    client.send(disconnect(5, reason));
    await client.refused(0x81, 0x82);
  }
});

conforms(
  'the server says when it wants a shorter keep-alive',
  { v5: '3.1.2-21 3.2.2-21 3.2.2-22' },
  async ({ reopen }) => {
    if (target.own === null) return;
    assert.equal((await reopen('long', { keepAlive: 100 }))[1].properties.serverKeepAlive, 60);
    assert.equal((await reopen('none', { keepAlive: 0 }))[1].properties.serverKeepAlive, 60);
    assert.equal((await reopen('short', { keepAlive: 59 }))[1].properties.serverKeepAlive, undefined);
  },
);

conforms(
  'clients are told that the server goes, and nothing comes behind that',
  { v5: '3.14.0-1 3.14.2-1 3.14.2-2 3.14.4-1 3.14.4-2 4.13.2-1', v3: '4.8.0-2' },
  async ({ open, raw, topic, version }) => {
    const client = await open('client');
    await client.subscribe(topic, { qos: 1 });
    const early = raw('early');
    early.socket.on('error', () => undefined);
    client.send(subscribe(version, 9, [`${topic}/x`]));
    await client.expect('suback');
    await target.restart();
    const packets = await client.untilEnd();
    if (target.own !== null && version === 5) {
      assert.deepEqual(
        packets.map(({ type, reason }) => ({ type, reason })),
        [{ type: 'disconnect', reason: 0x8b }],
      );
    } else {
      for (const { type } of packets) assert.equal(type, 'disconnect');
    }
    // Who has not connected gets no DISCONNECT.
    assert.deepEqual(await early.untilEnd(), []);
  },
);

conforms(
  'a client that is to go elsewhere is told where',
  { v3: '3.2.2-5', v5: '3.2.2-7 3.2.2-8 4.13.2-1' },
  async (world) => {
    if (target.own === null) return;
    const client = world.raw('elsewhere');
    client.send(connect(world.version, { clientId: client.clientId }));
    const packets = await client.untilEnd();
    assert.deepEqual(
      packets.map(({ type, reason, properties }) => [type, reason, properties.serverReference]),
      [world.version === 5 ? ['connack', 0x9c, 'other:1883'] : ['connack', 3, undefined]],
    );
  },
);

conforms('who does not say CONNECT in time is cut', { v3: '3.1.4-1', v5: '3.1.4-1' }, async ({ raw, version }) => {
  if (target.own === null) return;
  const silent = raw('silent');
  const slow = raw('slow');
  slow.send(connect(version, { clientId: slow.clientId }).subarray(0, 9));
  assert.deepEqual(await silent.untilEnd(), []);
  assert.deepEqual(await slow.untilEnd(), []);
});

conforms('a CONNECT of more than 16 KiB is refused at its head', { v3: '3.1.4-1', v5: '3.1.4-1' }, async ({ raw }) => {
  if (target.own === null) return;
  const client = raw();
  // Its length alone: what is announced is not kept room for.
  client.send(Buffer.from('1081800100044d515454', 'hex'));
  await client.refusedConnect(0x95);
});
