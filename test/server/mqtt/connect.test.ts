import assert from 'node:assert/strict';
import { startTarget } from './broker.ts';
import { conformsOn, type World } from './conforms.ts';
import { connect, type Packet, pingreq, publish, subscribe } from './packet.ts';
import { string, u8 } from './properties.ts';

const target = await startTarget();
const conforms = conformsOn(target);

conforms('a connection whose first packet is no CONNECT is closed', { v3: '3.1.0-1', v5: '3.1.0-1' }, async (world) => {
  for (const first of [pingreq, publish(world.version, world.topic, 'x')]) {
    const client = world.raw();
    client.send(first);
    assert.deepEqual(await client.untilEnd(), []);
  }
});

conforms(
  'a second CONNECT ends the connection',
  { v3: '3.1.0-2 4.8.0-1', v5: '3.1.0-2 3.2.0-2 4.13.1-1' },
  async ({ open }) => {
    const client = await open();
    client.send(connect(client.version, { clientId: client.clientId }));
    await client.refused(0x82);
  },
);

conforms('another protocol name is refused', { v3: '3.1.2-1', v5: '3.1.2-1' }, async ({ raw, version }) => {
  const client = raw();
  client.send(connect(version, { clientId: 'x', protocol: 'MQTX' }));
  await client.refusedConnect(version === 5 ? 0x84 : 0x01);
});

conforms('an unknown protocol level is refused with its code', { v3: '3.1.2-2 3.2.2-4 3.2.2-5' }, async ({ raw }) => {
  for (const level of [0, 2, 3]) {
    const client = raw();
    client.send(connect(4, { clientId: 'x', level }));
    const packets = await client.untilEnd();
    assert.deepEqual(
      packets.map(({ type, reason, sessionPresent }) => ({ type, reason, sessionPresent })),
      [{ type: 'connack', reason: 1, sessionPresent: false }],
    );
  }
});

conforms('a protocol version to come ends the connection', { v3: '3.1.2-2', v5: '3.1.2-2' }, async ({ raw }) => {
  for (const level of [6, 0xff]) {
    const client = raw('later', 5);
    client.send(connect(5, { clientId: 'x', level }));
    // As 3.1.1 says it (code 1), or as 5.0 does.
    await client.refusedConnect(0x01, 0x84);
  }
});

conforms('a client of MQTT 3.1 is served by that', { v3: '3.1.2-1' }, async ({ raw, open, topic }) => {
  const old = raw('old');
  await old.connect({ protocol: 'MQIsdp', level: 3 });
  await old.subscribe(topic, { qos: 2 });
  await (await open('publisher')).publish(topic, 'm', { qos: 2 });
  await old.message('m');
  await old.disconnect();
});

conforms('the reserved connect flag must be 0', { v3: '3.1.2-3 3.1.4-1', v5: '3.1.2-3 3.1.4-1' }, async (world) => {
  const client = world.raw();
  client.send(connect(world.version, { clientId: client.clientId, flags: 3 }));
  await client.refusedConnect(0x81, 0x82);
});

/** A CONNECT with these flags and this payload, which do not fit each other. */
async function misfit(world: World, flags: number, ...payload: readonly Buffer[]): Promise<void> {
  const client = world.raw();
  const id = string(client.clientId);
  client.send(connect(world.version, { flags, payload: Buffer.concat([id, ...payload]) }));
  await client.refusedConnect(0x81, 0x82);
}

const willProperties = ({ version }: World): Buffer => (version === 5 ? u8(0) : Buffer.alloc(0));

conforms('a will of QoS 3 is refused', { v3: '3.1.2-14', v5: '3.1.2-12' }, (world) =>
  misfit(world, 0b0001_1110, willProperties(world), string('t'), string('w')),
);

conforms('a will QoS without a will is refused', { v3: '3.1.2-11 3.1.2-13', v5: '3.1.2-11' }, async (world) => {
  await misfit(world, 0b0000_1010);
  await misfit(world, 0b0001_0010);
});

conforms('will retain without a will is refused', { v3: '3.1.2-15', v5: '3.1.2-13' }, (world) =>
  misfit(world, 0b0010_0010),
);

conforms('a will flag without its fields is refused', { v3: '3.1.2-9', v5: '3.1.2-9' }, async (world) => {
  await misfit(world, 0b0000_0110);
  await misfit(world, 0b0000_0110, willProperties(world));
  await misfit(world, 0b0000_0110, willProperties(world), string('topic'));
});

conforms('a user name without its flag is refused', { v3: '3.1.2-18', v5: '3.1.2-16' }, (world) =>
  misfit(world, 0b0000_0010, string('somebody')),
);

conforms('a user name flag without a user name is refused', { v3: '3.1.2-19', v5: '3.1.2-17' }, (world) =>
  misfit(world, 0b1000_0010),
);

conforms('a password without its flag is refused', { v3: '3.1.2-20', v5: '3.1.2-18' }, (world) =>
  misfit(world, 0b1000_0010, string('guest'), string('guest')),
);

conforms('a password flag without a password is refused', { v3: '3.1.2-21', v5: '3.1.2-19' }, (world) =>
  misfit(world, 0b1100_0010, string('guest')),
);

conforms('a password without a user name is refused', { v3: '3.1.2-22' }, (world) =>
  misfit(world, 0b0100_0010, string('guest')),
);

conforms(
  'a CONNECT without a client identifier is refused',
  { v3: '3.1.3-3', v5: '3.1.3-3' },
  async ({ raw, version }) => {
    const client = raw();
    client.send(connect(version, { payload: Buffer.alloc(0) }));
    await client.refusedConnect(0x81, 0x82);
  },
);

conforms(
  'names and topics of a CONNECT must be UTF-8',
  { v3: '3.1.3-4 3.1.3-10 3.1.3-11', v5: '3.1.3-4 3.1.3-8 3.1.3-11 3.1.3-12' },
  async (world) => {
    const bad = Buffer.from([0x61, 0xff, 0x62]);
    const client = world.raw();
    client.send(connect(world.version, { payload: string(bad) }));
    await client.refusedConnect(0x81, 0x85, 0x02);
    await misfit(world, 0b0000_0110, willProperties(world), string(bad), string('w'));
    await misfit(world, 0b1000_0010, string(bad));
    await misfit(world, 0b1000_0010, string('a\u0000b'));
  },
);

conforms(
  'the fields of a CONNECT are taken in their order',
  { v3: '3.1.3-1 3.1.4-4', v5: '3.1.3-1 3.1.4-5' },
  async ({ topic, open }) => {
    const watcher = await open('watcher');
    await watcher.subscribe(topic);
    const will = { topic, payload: 'the will', qos: 1 };
    const client = await open('client', { will, user: 'guest', password: 'guest', keepAlive: 60 });
    client.drop();
    assert.equal((await watcher.message('the will')).topic, topic);
  },
);

conforms(
  'client identifiers of 1 to 23 letters and digits are accepted',
  { v3: '3.1.3-5', v5: '3.1.3-5' },
  async ({ raw }) => {
    for (const clientId of ['0', 'abcdefghijklmnopqrstuvw', 'XYZABCDEFGHIJKLMNOPQRST', '01234567890123456789012']) {
      const client = raw();
      await client.connect({ clientId });
      await client.disconnect();
    }
  },
);

conforms('a client without an identifier gets one of its own', { v3: '3.1.3-6' }, async ({ raw, topic }) => {
  const [first, second] = [raw(), raw()];
  await first.connect({ clientId: '' });
  await second.connect({ clientId: '' });
  await first.subscribe(topic);
  await second.publish(topic, 'both live');
  await first.message('both live');
});

conforms(
  'a client without an identifier is told the one it got',
  { v5: '3.1.3-6 3.1.3-7 3.2.2-16' },
  async ({ raw }) => {
    const ids = new Set<string | undefined>();
    for (let count = 0; count < 3; count++) {
      const { properties } = await raw().connect({ clientId: '' });
      assert.ok((properties.assignedClientId?.length ?? 0) > 0);
      ids.add(properties.assignedClientId);
    }
    assert.equal(ids.size, 3);
  },
);

conforms('an assigned client identifier names the session', { v5: '3.1.3-7' }, async ({ raw }) => {
  const first = raw();
  const connack = await first.connect({ clientId: '', properties: { sessionExpiry: 100 } });
  first.drop();
  const clientId = connack.properties.assignedClientId!;
  const again = await raw().connect({ clientId, clean: false });
  assert.equal(again.sessionPresent, true);
  assert.equal(again.properties.assignedClientId, undefined);
});

conforms(
  'no identifier and a session that is not clean is refused with its code',
  { v3: '3.1.3-7 3.1.3-8 3.1.3-9 3.2.2-4 3.2.2-5' },
  async ({ raw }) => {
    const client = raw();
    client.send(connect(4, { clientId: '', clean: false }));
    const packets = await client.untilEnd();
    assert.deepEqual(
      packets.map(({ type, reason }) => ({ type, reason })),
      [{ type: 'connack', reason: 2 }],
    );
    assert.equal(packets[0]!.sessionPresent, false);
  },
);

conforms(
  'a login that fails is refused with its code, and the connection ends',
  { v3: '3.2.2-4 3.2.2-5', v5: '3.1.4-2 3.2.2-6 3.2.2-7 3.2.2-8 4.13.2-1' },
  async ({ raw, version }) => {
    if (target.own === null) return;
    const client = raw();
    client.send(connect(version, { clientId: client.clientId, user: 'guest', password: 'wrong' }));
    const packets = await client.untilEnd();
    assert.equal(packets.length, 1);
    const [{ type, reason, sessionPresent }] = packets as [Packet];
    assert.equal(type, 'connack');
    assert.ok((version === 5 ? [0x86, 0x87] : [4, 5]).includes(reason), `reason ${reason}`);
    assert.equal(sessionPresent, false);
  },
);

conforms(
  'nothing that follows a refused CONNECT is done',
  { v3: '3.1.4-5', v5: '3.1.4-6' },
  async ({ raw, open, version, topic }) => {
    const client = raw();
    const refused = connect(version, { clientId: 'x', flags: 0b0001_1110, payload: Buffer.concat([string('x')]) });
    client.send(Buffer.concat([refused, publish(version, topic, 'never', { retain: true })]));
    await client.refusedConnect(0x81, 0x82);
    const other = await open('other');
    await other.subscribe(topic);
    await other.quiet();
  },
);

conforms(
  'CONNACK is the first packet, whatever is sent right behind CONNECT',
  { v3: '3.2.0-1 3.1.4-4', v5: '3.2.0-1 3.2.2-1 3.1.4-5' },
  async ({ raw, version, topic }) => {
    const client = raw();
    client.send(
      connect(version, { clientId: client.clientId }),
      subscribe(version, 7, [topic]),
      publish(version, topic, 'early'),
      pingreq,
    );
    const types = [];
    while (types.length < 4) types.push((await client.next())?.type);
    assert.equal(types[0], 'connack');
    assert.deepEqual([...types].sort(), ['connack', 'pingresp', 'publish', 'suback']);
  },
);

conforms('response information is returned only on request', { v5: '3.1.2-28' }, async ({ raw }) => {
  for (const properties of [{}, { requestResponseInfo: 0 }]) {
    assert.equal((await raw().connect({ properties })).properties.responseInfo, undefined);
  }
});

conforms('CONNACK says what the server can', { v5: '3.2.2-9 3.2.2-22' }, async ({ raw }) => {
  const { properties } = await raw().connect({ keepAlive: 30 });
  for (const absentIsYes of [
    'retainAvailable',
    'wildcardAvailable',
    'subscriptionIdsAvailable',
    'sharedAvailable',
  ] as const) {
    assert.notEqual(properties[absentIsYes], 0, absentIsYes);
  }
  assert.equal(properties.maximumQos, undefined, 'QoS 2 is served, which has no value in Maximum QoS');
  assert.notEqual(properties.receiveMaximum, 0);
  assert.notEqual(properties.maximumPacketSize, 0);
});

conforms('a refusal fits the size that the client can take', { v5: '3.2.2-19 3.2.2-20' }, async ({ raw }) => {
  const client = raw();
  const properties = { maximumPacketSize: 8 };
  client.send(connect(5, { clientId: client.clientId, user: 'guest', password: 'wrong', properties }));
  for (const packet of await client.untilEnd()) assert.ok(packet.bytes.length <= 8, packet.bytes.toString('hex'));
});
