/** The codec against the npm package mqtt-packet: what one writes the other reads. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { generate, parser, type Packet } from 'mqtt-packet';
import { AckView } from '../../../src/wire/mqtt/ack.ts';
import { decodeConnect } from '../../../src/wire/mqtt/connect-packet.ts';
import { decodeAuth, decodeDisconnect } from '../../../src/wire/mqtt/disconnect-packet.ts';
import { FixedHeader } from '../../../src/wire/mqtt/fixed-header.ts';
import { packetType, type ProtocolVersion } from '../../../src/wire/mqtt/packet-type.ts';
import { UserPropertyCursor } from '../../../src/wire/mqtt/publish-properties.ts';
import { PublishView } from '../../../src/wire/mqtt/publish-view.ts';
import { reasonCode } from '../../../src/wire/mqtt/reason-code.ts';
import * as server from '../../../src/wire/mqtt/server-packets.ts';
import { decodeSubscribe, decodeUnsubscribe } from '../../../src/wire/mqtt/subscribe-packet.ts';
import * as arbitrary from './arbitrary-packets.ts';

/** What mqtt-packet writes, its fixed header read by us. */
function generated(packet: object, version: ProtocolVersion): { bytes: Buffer; header: FixedHeader } {
  const bytes = generate(packet as Packet, { protocolVersion: version });
  const header = new FixedHeader();
  assert.ok(header.read(bytes, 0, bytes.length, version));
  assert.equal(header.end, bytes.length);
  return { bytes, header };
}

/** What mqtt-packet reads in our bytes: one packet. */
function parsed(bytes: Buffer | null, version: ProtocolVersion): Record<string, unknown> {
  assert.ok(bytes !== null);
  const packets: Packet[] = [];
  const theirs = parser({ protocolVersion: version });
  theirs.on('packet', (packet) => packets.push(packet));
  theirs.on('error', (error) => {
    throw error as Error;
  });
  theirs.parse(bytes);
  assert.equal(packets.length, 1);
  return { ...packets[0]! };
}

const runs = { numRuns: 50 };

describe('what mqtt-packet writes is read here', () => {
  test('CONNECT', () => {
    fc.assert(
      fc.property(arbitrary.connect, (packet) => {
        const { protocolVersion } = packet;
        // mqtt-packet writes no password without a user name, as 3.1.1 wants it.
        if (packet.username === undefined) packet.password = undefined;
        const { bytes, header } = generated({ cmd: 'connect', protocolId: 'MQTT', ...packet }, protocolVersion);
        const read = decodeConnect(bytes, header.start, header.end);
        const { userProperties, ...properties } = packet.properties;
        assert.equal(read.version, protocolVersion);
        assert.equal(read.clientId, packet.clientId);
        assert.equal(read.cleanStart, packet.clean);
        assert.equal(read.keepAliveSeconds, packet.keepalive);
        assert.equal(read.userName, packet.username ?? null);
        assert.deepEqual(read.password, packet.password ?? null);
        assert.deepEqual(read.properties, protocolVersion === 5 ? properties : {});
        assert.deepEqual(read.userProperties, protocolVersion === 5 ? arbitrary.pairsOf(userProperties) : []);
        if (packet.will === undefined) {
          assert.equal(read.will, null);
          return;
        }
        const { properties: ofWill, ...will } = packet.will;
        const { userProperties: userOfWill, ...plainOfWill } = ofWill;
        assert.deepEqual(read.will, {
          ...will,
          properties: protocolVersion === 5 ? plainOfWill : {},
          userProperties: protocolVersion === 5 ? arbitrary.pairsOf(userOfWill) : [],
        });
      }),
      runs,
    );
  });

  test('PUBLISH', () => {
    const view = new PublishView();
    const cursor = new UserPropertyCursor();
    fc.assert(
      fc.property(arbitrary.publish, arbitrary.version, (packet, version) => {
        const dup = packet.dup && packet.qos > 0;
        const { bytes, header } = generated({ cmd: 'publish', ...packet, dup }, version);
        view.read(bytes, header.firstByte, header.start, header.end, version);
        const read = (start: number, end: number): string => bytes.toString('utf8', start, end);
        assert.deepEqual([view.qos, view.dup, view.retain], [packet.qos, dup, packet.retain]);
        assert.equal(view.packetId, packet.qos === 0 ? 0 : packet.messageId);
        assert.equal(read(view.topicStart, view.topicEnd), packet.topic);
        assert.deepEqual(bytes.subarray(view.payloadStart, view.payloadEnd), packet.payload);
        const { properties } = view;
        const { userProperties, correlationData, contentType, responseTopic, ...numbers } =
          version === 5 ? packet.properties : {};
        assert.equal(
          properties.payloadFormat,
          numbers.payloadFormatIndicator === undefined ? -1 : Number(numbers.payloadFormatIndicator),
        );
        assert.equal(properties.expirySeconds, numbers.messageExpiryInterval ?? -1);
        assert.equal(properties.topicAlias, numbers.topicAlias ?? 0);
        const text = (start: number, end: number): string | undefined => (start === -1 ? undefined : read(start, end));
        assert.equal(text(properties.contentTypeStart, properties.contentTypeEnd), contentType);
        assert.equal(text(properties.responseTopicStart, properties.responseTopicEnd), responseTopic);
        const { correlationStart, correlationEnd } = properties;
        assert.deepEqual(
          correlationStart === -1 ? undefined : bytes.subarray(correlationStart, correlationEnd),
          correlationData,
        );
        const pairs: [string, string][] = [];
        cursor.begin(bytes, properties);
        while (cursor.next())
          pairs.push([read(cursor.nameStart, cursor.nameEnd), read(cursor.valueStart, cursor.valueEnd)]);
        assert.deepEqual(pairs, arbitrary.pairsOf(userProperties));
        assert.equal(properties.userPropertyCount, pairs.length);
      }),
      runs,
    );
  });

  test('SUBSCRIBE and UNSUBSCRIBE', () => {
    fc.assert(
      fc.property(
        arbitrary.subscribe,
        arbitrary.version,
        ({ messageId, subscriptions, subscriptionIdentifier }, version) => {
          const sent = { cmd: 'subscribe', messageId, subscriptions, properties: { subscriptionIdentifier } };
          const { bytes, header } = generated(sent, version);
          const read = decodeSubscribe(bytes, header.start, header.end, version);
          assert.equal(read.packetId, messageId);
          assert.equal(read.subscriptionIdentifier, version === 5 ? subscriptionIdentifier : 0);
          assert.deepEqual(
            read.subscriptions,
            subscriptions.map(({ topic, qos, nl, rap, rh }) => ({
              filter: topic,
              shared: null,
              qos,
              noLocal: version === 5 && nl,
              retainAsPublished: version === 5 && rap,
              retainHandling: version === 5 ? rh : 0,
            })),
          );
          const filters = subscriptions.map(({ topic }) => topic);
          const undo = generated({ cmd: 'unsubscribe', messageId, unsubscriptions: filters }, version);
          assert.deepEqual(decodeUnsubscribe(undo.bytes, undo.header.start, undo.header.end, version), {
            packetId: messageId,
            filters,
          });
        },
      ),
      runs,
    );
  });

  test('acknowledgements', () => {
    const view = new AckView();
    const acks = [
      ['puback', reasonCode.notAuthorized],
      ['pubrec', reasonCode.quotaExceeded],
      ['pubrel', reasonCode.packetIdentifierNotFound],
      ['pubcomp', reasonCode.packetIdentifierNotFound],
    ] as const;
    fc.assert(
      fc.property(
        fc.constantFrom(...acks),
        fc.boolean(),
        arbitrary.packetId,
        arbitrary.version,
        arbitrary.text,
        (ack, bad, messageId, version, reasonString) => {
          const [cmd, failure] = ack;
          const reason = bad && version === 5 ? failure : 0;
          const { bytes, header } = generated(
            { cmd, messageId, reasonCode: reason, properties: bad ? { reasonString } : {} },
            version,
          );
          assert.equal(header.type, packetType[cmd]);
          view.read(bytes, header.type, header.start, header.end, version);
          assert.deepEqual([view.packetId, view.reason], [messageId, reason]);
        },
      ),
      runs,
    );
  });

  test('DISCONNECT and AUTH', () => {
    fc.assert(
      fc.property(
        fc.nat(0xffff_ffff),
        arbitrary.filledText,
        arbitrary.binary,
        (sessionExpiryInterval, reasonString, authenticationData) => {
          const end = generated(
            { cmd: 'disconnect', reasonCode: 4, properties: { sessionExpiryInterval, reasonString } },
            5,
          );
          assert.deepEqual(decodeDisconnect(end.bytes, end.header.start, end.header.end, 5), {
            reason: 4,
            properties: { sessionExpiryInterval, reasonString },
          });
          const auth = generated(
            { cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod: reasonString, authenticationData } },
            5,
          );
          assert.deepEqual(decodeAuth(auth.bytes, auth.header.start, auth.header.end), {
            reason: 0x18,
            method: reasonString,
            data: authenticationData,
          });
        },
      ),
      runs,
    );
  });
});

describe('what is written here mqtt-packet reads', () => {
  const anyone = { version: 5, maxPacketBytes: Infinity, problemInformation: true } as const;
  // Of a name that stands twice mqtt-packet forgets an empty first value.
  const explanation = arbitrary.filledText.map((reasonString) => ({
    reasonString,
    userProperties: [
      ['k', reasonString],
      ['k', 'v'],
      ['l', ''],
    ] as const,
  }));

  function explained(packet: Record<string, unknown>): { reasonString: unknown; pairs: unknown; others: object } {
    const { reasonString, userProperties, ...others } = packet['properties'] as Record<string, unknown>;
    return { reasonString, pairs: arbitrary.pairsOf(userProperties as Record<string, string[]>), others };
  }

  test('CONNACK', () => {
    fc.assert(
      fc.property(fc.boolean(), arbitrary.connack, explanation, (sessionPresent, properties, why) => {
        const packet = parsed(server.encodeConnack(anyone, sessionPresent, 0, properties, why), 5);
        assert.equal(packet['cmd'], 'connack');
        assert.equal(packet['sessionPresent'], sessionPresent);
        assert.equal(packet['reasonCode'], 0);
        const { reasonString, pairs, others } = explained(packet);
        assert.equal(reasonString, why.reasonString);
        assert.deepEqual(pairs, why.userProperties);
        assert.deepEqual({ ...others }, { ...properties });
      }),
      runs,
    );
    const old = parsed(server.encodeConnack({ ...anyone, version: 4 }, true, 0), 4);
    assert.deepEqual([old['sessionPresent'], old['returnCode']], [true, 0]);
  });

  test('SUBACK, UNSUBACK, DISCONNECT, AUTH and explained acknowledgements', () => {
    fc.assert(
      fc.property(
        arbitrary.packetId,
        explanation,
        fc.array(fc.constantFrom<0 | 1 | 2 | 0x80 | 0x87>(0, 1, 2, 0x80, 0x87), { minLength: 1, maxLength: 200 }),
        (id, why, reasons) => {
          const check = (bytes: Buffer | null, expected: Record<string, unknown>): void => {
            const packet = parsed(bytes, 5);
            for (const [name, value] of Object.entries(expected)) assert.deepEqual(packet[name], value, name);
            const { reasonString, pairs } = explained(packet);
            assert.equal(reasonString, why.reasonString);
            assert.deepEqual(pairs, why.userProperties);
          };
          check(server.encodeSuback(anyone, id, reasons, why), { cmd: 'suback', messageId: id, granted: reasons });
          const gone = reasons.map((reason) => (reason >= 0x80 ? reason : 0));
          check(server.encodeUnsuback(anyone, id, gone, why), { cmd: 'unsuback', messageId: id, granted: gone });
          check(server.encodeDisconnect(anyone, 0x8e, {}, why), { cmd: 'disconnect', reasonCode: 0x8e });
          check(server.encodeAuth(anyone, 0x18, { authenticationMethod: 'M' }, why), { cmd: 'auth', reasonCode: 0x18 });
          check(server.encodeAck(anyone, packetType.pubrec, id, 0x97, why), {
            cmd: 'pubrec',
            messageId: id,
            reasonCode: 0x97,
          });
        },
      ),
      runs,
    );
    assert.equal(parsed(server.pingresp, 4)['cmd'], 'pingresp');
  });
});
