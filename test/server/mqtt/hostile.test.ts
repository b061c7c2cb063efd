/** Clients that send what they like, and clients that take nothing: nobody else notices, and no fault of the server's own shows. */
import assert from 'node:assert/strict';
import { connect as connectSocket } from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import fc from 'fast-check';
import { startTarget } from './broker.ts';
import { MqttClient } from './client.ts';
import {
  acknowledge,
  auth,
  connect,
  disconnect,
  pingreq,
  publish,
  subscribe,
  unsubscribe,
  type Version,
} from './packet.ts';

const lines: string[] = [];
const target = await startTarget({
  log: (line) => lines.push(line),
  settings: { maxUnsentBytes: 256 * 1024, receiveMaximum: 20 },
});

const properties = {
  payloadFormat: 1,
  messageExpiry: 100,
  contentType: 'text/plain',
  responseTopic: 'r/s',
  correlationData: 'c',
  userProperty: [['a', 'b']] as [string, string][],
};

/** Every packet that a client sends. */
function conversation(version: Version): Buffer[] {
  return [
    connect(version, {
      clientId: 'hostile',
      clean: false,
      keepAlive: 60,
      will: { topic: 'will/t', payload: 'w', qos: 1, retain: true, properties: { ...properties, willDelay: 5 } },
      user: 'guest',
      password: 'guest',
      properties: { sessionExpiry: 60, receiveMaximum: 5, maximumPacketSize: 10_000, topicAliasMaximum: 3 },
    }),
    subscribe(version, 1, ['h/#', '+/x/$y'], { qos: 2, properties: { subscriptionIdentifier: 200 } }),
    subscribe(version, 2, ['$share/g/h/+'], { qos: 1 }),
    publish(version, 'h/0', 'zero', { properties: { ...properties, topicAlias: 1 } }),
    publish(version, 'h/1', 'one', { qos: 1, id: 3, retain: true, properties }),
    publish(version, 'h/2', 'two', { qos: 2, id: 4 }),
    acknowledge('pubrel', 4),
    acknowledge('puback', 1),
    acknowledge('pubrec', 2),
    acknowledge('pubcomp', 2),
    unsubscribe(version, 5, ['h/#']),
    pingreq,
    ...(version === 5 ? [auth(0x19, { authMethod: 'X' })] : []),
    disconnect(version, version === 5 ? 4 : 0),
  ];
}

const own = target.own !== null;

/** What the server answers to these bytes, until it ends the connection or a while after the last of them. */
async function talk(chunks: readonly Buffer[], awaitedBytes = 0): Promise<Buffer> {
  const socket = connectSocket(target.port, '127.0.0.1');
  socket.on('error', () => undefined);
  const closed = once(socket, 'close');
  socket.setNoDelay(true);
  const received: Buffer[] = [];
  let bytes = 0;
  let wake = (): void => undefined;
  socket.on('data', (chunk: Buffer) => {
    received.push(chunk);
    bytes += chunk.length;
    wake();
  });
  for (const chunk of chunks) {
    socket.write(chunk);
    await new Promise((resolve) => setImmediate(resolve));
  }
  while (bytes < awaitedBytes) await new Promise<void>((resolve) => (wake = resolve));
  socket.end();
  await closed;
  return Buffer.concat(received);
}

for (const version of [4, 5] as const) {
  const name = version === 4 ? '3.1.1' : '5.0';

  test(
    `conversations with wrong bytes end, and disturb nobody (${name})`,
    { skip: !own, timeout: 300_000 },
    async () => {
      const watcher = new MqttClient(target.port, version, `watcher${version}`);
      await watcher.connect();
      await watcher.subscribe('watched', { qos: 1 });
      const packets = conversation(version);
      const change = fc.record({
        packet: fc.nat(packets.length - 1),
        at: fc.nat(200),
        byte: fc.nat(255),
        kind: fc.constantFrom('replace', 'insert', 'remove', 'cut', 'repeat'),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
          const chunks = packets.map((packet) => [...packet]);
          for (const { packet, at, byte, kind } of changes) {
            const bytes = chunks[packet]!;
            const place = bytes.length === 0 ? 0 : at % bytes.length;
            if (kind === 'replace') bytes[place] = byte;
            else if (kind === 'insert') bytes.splice(place, 0, byte);
            else if (kind === 'remove') bytes.splice(place, 1);
            else if (kind === 'cut') bytes.length = place;
            else bytes.push(...bytes);
          }
          await talk(chunks.map((chunk) => Buffer.from(chunk)));
          assert.ok(!lines.some((line) => / {2}at |TypeError|RangeError/.test(line)), lines.join('\n'));
          lines.length = 0;
        }),
        { numRuns: 150 },
      );
      await watcher.publish('watched', 'still here', { qos: 1 });
      await watcher.message('still here');
      watcher.drop();
    },
  );

  test(`answers are the same wherever a conversation is cut (${name})`, { skip: !own, timeout: 300_000 }, async () => {
    const bytes = Buffer.concat([
      connect(version, { clientId: `cut${version}` }),
      publish(version, 'cut/nobody', 'zero'),
      publish(version, 'cut/nobody', 'one', { qos: 1, id: 3, properties }),
      publish(version, 'cut/nobody', 'x'.repeat(3_000), { qos: 2, id: 4, properties }),
      acknowledge('pubrel', 4),
      acknowledge('pubrel', 5),
      acknowledge('pubrec', 6),
      publish(version, 'cut/nobody', 'last', { qos: 1, id: 7 }),
    ]);
    // CONNACK, PUBACK, PUBREC, two PUBCOMP, PUBREL and PUBACK.
    const answered = version === 4 ? 4 + 6 * 4 : 16 + 5 * 5 + 4;
    const whole = await talk([bytes], answered);
    assert.equal(whole.length, answered, whole.toString('hex'));
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat(bytes.length), { maxLength: 12 }), async (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const chunks = places.slice(1).map((end, at) => bytes.subarray(places[at], end));
        assert.deepEqual(await talk(chunks, whole.length), whole);
      }),
      { numRuns: 60 },
    );
  });

  test(`a subscriber that takes nothing holds up nobody (${name})`, { skip: !own, timeout: 300_000 }, async () => {
    const topic = `frozen/${version}`;
    const frozen = new MqttClient(target.port, version, `frozen${version}`);
    const good = new MqttClient(target.port, version, `good${version}`);
    const publisher = new MqttClient(target.port, version, `publisher${version}`);
    for (const client of [frozen, good, publisher]) await client.connect();
    for (const client of [frozen, good]) await client.subscribe(`${topic}/#`, { qos: 1 });
    frozen.socket.pause();
    const payload = 'p'.repeat(100_000);
    const before = process.memoryUsage().rss;
    for (let count = 0; count < 200; count++) {
      await publisher.publish(`${topic}/${count % 2}`, payload, { qos: count % 2 });
      await good.message(payload);
    }
    const grown = process.memoryUsage().rss - before;
    assert.ok(grown < 200e6, `${grown} bytes for 20 MB that nobody took`);
    await good.ping();
    frozen.socket.resume();
    await frozen.ping();
    for (const client of [frozen, good, publisher]) client.drop();
  });

  test(`a client that completes no exchange of QoS 2 stays within bounds (${name})`, { skip: !own }, async () => {
    const client = new MqttClient(target.port, version, `never${version}`);
    await client.connect({ durable: true });
    const packets = Array.from({ length: 2_000 }, (_, at) => publish(version, 'never', 'x', { qos: 2, id: at + 1 }));
    client.send(...packets);
    if (version === 5) {
      // It may have 20 under way, and is told so.
      await client.refused(0x93);
      return;
    }
    for (let at = 0; at < packets.length; at++) assert.equal((await client.expect('pubrec')).id, at + 1);
    client.drop();
  });
}

test('a SUBSCRIBE of very many filters is refused, or done with in time', { skip: !own }, async () => {
  const client = new MqttClient(target.port, 5, 'many');
  await client.connect();
  client.send(
    subscribe(
      5,
      1,
      Array.from({ length: 20_000 }, (_, at) => `m/${at}`),
    ),
  );
  const answer = await client.next();
  if (answer?.type === 'suback') assert.equal(answer.reasons.length, 20_000);
  else assert.ok(answer === null || [0x81, 0x82, 0x97].includes(answer.reason), `reason ${answer?.reason}`);
  client.drop();
});
