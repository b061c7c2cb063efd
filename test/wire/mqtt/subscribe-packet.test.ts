import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ProtocolVersion } from '../../../src/wire/mqtt/packet-type.ts';
import {
  decodeSubscribe,
  decodeUnsubscribe,
  type FilterLimits,
  type SubscribePacket,
  type UnsubscribePacket,
} from '../../../src/wire/mqtt/subscribe-packet.ts';
import { bytesOf, refusal } from './refusal.ts';

function subscribe(drawn: string, version: ProtocolVersion, limits?: FilterLimits): SubscribePacket {
  const bytes = bytesOf(drawn);
  return decodeSubscribe(bytes, 0, bytes.length, version, limits);
}

function unsubscribe(drawn: string, version: ProtocolVersion, limits?: FilterLimits): UnsubscribePacket {
  const bytes = bytesOf(drawn);
  return decodeUnsubscribe(bytes, 0, bytes.length, version, limits);
}

const plain = { shared: null, noLocal: false, retainAsPublished: false, retainHandling: 0 };

describe('SUBSCRIBE', () => {
  test('before 5.0', () => {
    assert.deepEqual(subscribe("00 0a 00 03 'a/b' 01 00 03 'c/#' 02 00 01 '+' 00", 4), {
      packetId: 10,
      subscriptionIdentifier: 0,
      subscriptions: [
        { ...plain, filter: 'a/b', qos: 1 },
        { ...plain, filter: 'c/#', qos: 2 },
        { ...plain, filter: '+', qos: 0 },
      ],
    });
  });

  test('of 5.0 has options and a subscription identifier', () => {
    assert.deepEqual(subscribe("00 0a 0a 0b ff 7f 26 00 01 'k' 00 01 'v' 00 01 'a' 2e 00 01 'b' 11", 5), {
      packetId: 10,
      subscriptionIdentifier: 16_383,
      subscriptions: [
        { ...plain, filter: 'a', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 },
        { ...plain, filter: 'b', qos: 1, retainHandling: 1 },
      ],
    });
    assert.equal(subscribe("00 0a 00 00 01 'a' 00", 5).subscriptionIdentifier, 0);
  });

  test('shares a filter under a name, in every version', () => {
    for (const [drawn, version] of [
      ["00 0a 00 0c '$share/n/a/+' 01", 4],
      ["00 0a 00 00 0c '$share/n/a/+' 01", 5],
    ] as const) {
      const [subscription] = subscribe(drawn, version).subscriptions;
      assert.equal(subscription!.filter, '$share/n/a/+');
      assert.deepEqual(subscription!.shared, { name: 'n', filter: 'a/+' });
    }
  });

  test('has at least one filter [MQTT-3.8.3-2]', () => {
    assert.throws(() => subscribe('00 0a', 4), refusal('protocolError', /no topic filter/));
    assert.throws(() => subscribe('00 0a 00', 5), refusal('protocolError', /no topic filter/));
  });

  test('has a packet identifier [MQTT-2.2.1-3]', () => {
    assert.throws(() => subscribe("00 00 00 01 'a' 00", 4), refusal('protocolError', /identifier 0/));
  });

  test('has reserved bits of 0 [MQTT-3.8.3-5], before 5.0 all but QoS (3.1.1 [MQTT-3.8.3-4])', () => {
    for (const options of ['40', '80']) {
      assert.throws(() => subscribe(`00 0a 00 00 01 'a' ${options}`, 5), refusal('malformedPacket', /reserved bits/));
    }
    for (const options of ['04', '08', '10', '20', '40', '80']) {
      assert.throws(() => subscribe(`00 0a 00 01 'a' ${options}`, 4), refusal('malformedPacket', /reserved bits/));
    }
  });

  test('asks for QoS 0, 1 or 2, and a retain handling that there is', () => {
    assert.throws(() => subscribe("00 0a 00 01 'a' 03", 4), refusal('malformedPacket', /QoS 3/));
    assert.throws(() => subscribe("00 0a 00 00 01 'a' 03", 5), refusal('protocolError', /QoS 3/));
    assert.throws(() => subscribe("00 0a 00 00 01 'a' 30", 5), refusal('protocolError', /retain handling/));
  });

  test('has filters in UTF-8 [MQTT-3.8.3-1] that can be subscribed to', () => {
    assert.throws(() => subscribe('00 0a 00 01 ff 00', 4), refusal('malformedPacket', /not UTF-8/));
    assert.throws(() => subscribe('00 0a 00 01 00 00', 4), refusal('malformedPacket', /not UTF-8/));
    for (const filter of [
      "00 02 'a#'",
      "00 03 '#/a'",
      '00 00',
      "00 09 '$share/n/'",
      "00 08 '$share/n'",
      "00 0b '$share/n/a+'",
    ]) {
      assert.throws(() => subscribe(`00 0a ${filter} 00`, 4), refusal('topicFilterInvalid'), filter);
    }
  });

  test('shares nothing with no-local [MQTT-3.8.3-4]', () => {
    assert.throws(() => subscribe("00 0a 00 00 0a '$share/n/a' 04", 5), refusal('protocolError', /no-local/));
  });

  test('has one subscription identifier, not 0, and no other property', () => {
    assert.throws(() => subscribe("00 0a 02 0b 00 00 01 'a' 00", 5), refusal('protocolError', /is 0/));
    assert.throws(() => subscribe("00 0a 04 0b 01 0b 02 00 01 'a' 00", 5), refusal('protocolError', /twice/));
    assert.throws(() => subscribe("00 0a 03 0b 80 00 00 01 'a' 00", 5), refusal('malformedPacket', /more bytes/));
    assert.throws(() => subscribe("00 0a 05 0b ff ff ff ff 00 01 'a' 00", 5), refusal('malformedPacket', /four bytes/));
    assert.throws(() => subscribe("00 0a 03 1f 00 00 00 01 'a' 00", 5), refusal('malformedPacket', /can't hold/));
    assert.equal(subscribe("00 0a 05 0b ff ff ff 7f 00 01 'a' 00", 5).subscriptionIdentifier, 268_435_455);
  });

  test('ends where its fields do', () => {
    for (const drawn of ['', '00', '00 0a 00', "00 0a 00 02 'a'", "00 0a 00 01 'a'", "00 0a 00 01 'a' 00 00"]) {
      assert.throws(() => subscribe(drawn, 4), refusal('malformedPacket', /ends before/), drawn);
    }
  });

  test('has as many filters and levels as are allowed', () => {
    const limits = { maxFilters: 2, maxLevels: 3 };
    assert.equal(subscribe("00 0a 00 01 'a' 00 00 05 'a/b/c' 00", 4, limits).subscriptions.length, 2);
    assert.throws(
      () => subscribe("00 0a 00 01 'a' 00 00 01 'b' 00 00 01 'c' 00", 4, limits),
      refusal('quotaExceeded', /2 topic filters/),
    );
    assert.throws(() => subscribe("00 0a 00 07 'a/b/c/d' 00", 4, limits), refusal('topicFilterInvalid', /3 levels/));
    assert.equal(subscribe("00 0a 00 0e '$share/n/a/b/c' 00", 4, limits).subscriptions.length, 1);
  });
});

describe('UNSUBSCRIBE', () => {
  test('names filters', () => {
    assert.deepEqual(unsubscribe("00 0a 00 03 'a/b' 00 02 'a#'", 4), { packetId: 10, filters: ['a/b', 'a#'] });
    assert.deepEqual(unsubscribe("00 0a 05 26 00 00 00 00 00 01 'a'", 5), { packetId: 10, filters: ['a'] });
  });

  test('has at least one [MQTT-3.10.3-2], in UTF-8 [MQTT-3.10.3-1]', () => {
    assert.throws(() => unsubscribe('00 0a', 4), refusal('protocolError', /no topic filter/));
    assert.throws(() => unsubscribe('00 0a 00', 5), refusal('protocolError', /no topic filter/));
    assert.throws(() => unsubscribe('00 0a 00 01 ff', 4), refusal('malformedPacket', /not UTF-8/));
  });

  test('has a packet identifier, user properties alone, and ends where its fields do', () => {
    assert.throws(() => unsubscribe("00 00 00 01 'a'", 4), refusal('protocolError', /identifier 0/));
    assert.throws(() => unsubscribe("00 0a 02 0b 01 00 01 'a'", 5), refusal('malformedPacket', /can't hold/));
    assert.throws(() => unsubscribe("00 0a 00 02 'a'", 4), refusal('malformedPacket', /ends before/));
    assert.throws(() => unsubscribe("00 0a 00 01 'a' 00", 4), refusal('malformedPacket', /ends before/));
    const limits = { maxFilters: 1, maxLevels: 3 };
    assert.throws(() => unsubscribe("00 0a 00 01 'a' 00 01 'b'", 4, limits), refusal('quotaExceeded'));
  });
});
