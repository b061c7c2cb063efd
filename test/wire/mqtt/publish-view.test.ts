import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FixedHeader } from '../../../src/wire/mqtt/fixed-header.ts';
import type { ProtocolVersion } from '../../../src/wire/mqtt/packet-type.ts';
import { UserPropertyCursor, type PublishProperties } from '../../../src/wire/mqtt/publish-properties.ts';
import { PublishView } from '../../../src/wire/mqtt/publish-view.ts';
import { bytesOf, refusal } from './refusal.ts';

interface Read {
  readonly view: PublishView;
  readonly bytes: Buffer;
  text(start: number, end: number): string;
}

/** A whole packet: its remaining length must be right. */
function read(drawn: string, version: ProtocolVersion, view = new PublishView()): Read {
  const bytes = bytesOf(drawn);
  const header = new FixedHeader();
  assert.ok(header.read(bytes, 0, bytes.length, version));
  assert.equal(header.end, bytes.length, 'the length drawn');
  view.read(bytes, header.firstByte, header.start, header.end, version);
  return { view, bytes, text: (start, end) => bytes.toString('utf8', start, end) };
}

/** The same with these properties, whose lengths are put in. */
function readWith(properties: string, view?: PublishView): Read {
  const length = bytesOf(properties).length;
  return read(`30 ${hex(6 + length)} 00 03 'a/b' ${hex(length)} ${properties}`, 5, view);
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0');
}

function userProperties(bytes: Buffer, properties: PublishProperties): string[][] {
  const cursor = new UserPropertyCursor();
  cursor.begin(bytes, properties);
  const pairs: string[][] = [];
  while (cursor.next()) {
    pairs.push([
      bytes.toString('utf8', cursor.nameStart, cursor.nameEnd),
      bytes.toString('utf8', cursor.valueStart, cursor.valueEnd),
    ]);
  }
  return pairs;
}

describe('PUBLISH', () => {
  test('with QoS 0 has no packet identifier [MQTT-2.2.1-2]', () => {
    const { view, text } = read("30 07 00 03 'a/b' 'hi'", 4);
    assert.equal(text(view.topicStart, view.topicEnd), 'a/b');
    assert.equal(text(view.payloadStart, view.payloadEnd), 'hi');
    assert.deepEqual([view.qos, view.dup, view.retain, view.packetId], [0, false, false, 0]);
    assert.equal(view.topicLevels, 2);
    assert.equal(view.propertiesStart, view.propertiesEnd);
  });

  test('has its flags in the first byte', () => {
    const { view, text } = read("3d 09 00 03 'a/b' 01 02 'hi'", 4);
    assert.deepEqual([view.qos, view.dup, view.retain, view.packetId], [2, true, true, 0x0102]);
    assert.equal(text(view.payloadStart, view.payloadEnd), 'hi');
    assert.equal(read("32 05 00 01 'a' ff ff", 4).view.qos, 1);
  });

  test('may have an empty payload', () => {
    const { view } = read("31 05 00 03 'a/b'", 4);
    assert.equal(view.payloadStart, view.payloadEnd);
  });

  test('of 5.0 has properties before its payload', () => {
    const { view, text } = read("32 0b 00 03 'a/b' 00 0a 02 01 01 'h'", 5);
    assert.equal(view.packetId, 10);
    assert.equal(view.propertiesEnd - view.propertiesStart, 2);
    assert.equal(view.properties.payloadFormat, 1);
    assert.equal(text(view.payloadStart, view.payloadEnd), 'h');
    const without = read("30 07 00 03 'a/b' 00 'h'", 5);
    assert.equal(without.view.propertiesStart, without.view.propertiesEnd);
    assert.equal(without.text(without.view.payloadStart, without.view.payloadEnd), 'h');
  });

  test('with QoS 3 is malformed [MQTT-3.3.1-4]', () => {
    for (const version of [4, 5] as const) {
      assert.throws(() => read("36 05 00 01 'a' 00 01", version), refusal('malformedPacket', /QoS 3/));
    }
  });

  test('with QoS 0 is no duplicate [MQTT-3.3.1-2]', () => {
    assert.throws(() => read("38 03 00 01 'a'", 4), refusal('protocolError', /duplicate/));
  });

  test('has a packet identifier that is not 0 [MQTT-2.2.1-3]', () => {
    assert.throws(() => read("32 05 00 01 'a' 00 00", 4), refusal('protocolError', /identifier 0/));
  });

  test('has a topic without wildcards [MQTT-3.3.2-2]', () => {
    for (const topic of ["'a/+'", "'a/#'", "'+/b'", "'a#c'", "'ü+'"]) {
      const bytes = hex(bytesOf(topic).length);
      assert.throws(
        () => read(`30 ${hex(bytesOf(topic).length + 2)} 00 ${bytes} ${topic}`, 4),
        refusal('topicNameInvalid', /wildcard/),
      );
    }
  });

  test('has a topic in UTF-8 [MQTT-3.3.2-1] without U+0000 [MQTT-4.7.3-2]', () => {
    for (const topic of ['61 00 62', '61 ff 62', '61 c0 80', 'ed a0 80', '61 62 e2', "'a/' c3"]) {
      const bytes = bytesOf(topic).length;
      assert.throws(
        () => read(`30 ${hex(bytes + 2)} 00 ${hex(bytes)} ${topic}`, 4),
        refusal('malformedPacket', /not UTF-8/),
      );
    }
  });

  test('counts the levels of any topic', () => {
    const topic = fc
      .array(fc.string({ unit: 'binary', maxLength: 4 }), { minLength: 1, maxLength: 6 })
      .map((levels) => levels.join('/'));
    fc.assert(
      fc.property(topic, (text) => {
        fc.pre(text !== '' && !/[+#\0]/.test(text));
        const bytes = Buffer.concat([Buffer.of(0, Buffer.byteLength(text)), Buffer.from(text)]);
        const view = new PublishView();
        view.read(bytes, 0x30, 0, bytes.length, 4);
        assert.equal(view.topicLevels, text.split('/').length);
        assert.equal(bytes.toString('utf8', view.topicStart, view.topicEnd), text);
      }),
    );
  });

  test('has a topic, or in 5.0 an alias [MQTT-4.7.3-1]', () => {
    assert.throws(() => read('30 02 00 00', 4), refusal('topicNameInvalid', /empty/));
    assert.throws(() => read('30 03 00 00 00', 5), refusal('protocolError', /neither topic nor topic alias/));
    const { view } = read("30 08 00 00 03 23 00 07 'hi'", 5);
    assert.equal(view.topicStart, view.topicEnd);
    assert.equal(view.properties.topicAlias, 7);
  });

  test('that ends before its fields do is malformed', () => {
    for (const drawn of [
      '30 00',
      '30 01 00',
      '30 02 00 01',
      "30 03 00 05 'a'",
      "32 03 00 01 'a'",
      "32 04 00 01 'a' 01",
    ]) {
      assert.throws(() => read(drawn, 4), refusal('malformedPacket', /ends before/), drawn);
    }
    for (const drawn of ["30 03 00 01 'a'", "30 04 00 01 'a' 01", "30 05 00 01 'a' 80 01"]) {
      assert.throws(() => read(drawn, 5), refusal('malformedPacket', /ends before/), drawn);
    }
    assert.throws(() => read("30 08 00 01 'a' ff ff ff ff 01", 5), refusal('malformedPacket', /four bytes/));
    assert.throws(() => read("30 05 00 01 'a' 80 00", 5), refusal('malformedPacket', /more bytes than it needs/));
  });

  test('of 3.1.1 forgets the properties of the one before', () => {
    const view = new PublishView();
    readWith('23 00 05', view);
    read("30 03 00 01 'a'", 4, view);
    assert.equal(view.properties.topicAlias, 0);
    assert.throws(() => read('30 02 00 00', 4, view), refusal('topicNameInvalid'));
  });
});

describe('the properties of PUBLISH', () => {
  test('are told as values and ranges', () => {
    const { view, text, bytes } = readWith(
      "01 01 02 80 00 00 01 03 00 04 'text' 08 00 03 'r/e' 09 00 02 00 ff 23 00 09 26 00 01 'k' 00 02 'v1' 26 00 01 'k' 00 02 'v2'",
    );
    const { properties } = view;
    assert.equal(properties.payloadFormat, 1);
    assert.equal(properties.expirySeconds, 0x8000_0001);
    assert.equal(text(properties.contentTypeStart, properties.contentTypeEnd), 'text');
    assert.equal(text(properties.responseTopicStart, properties.responseTopicEnd), 'r/e');
    assert.deepEqual(bytes.subarray(properties.correlationStart, properties.correlationEnd), Buffer.of(0, 0xff));
    assert.equal(properties.topicAlias, 9);
    assert.equal(properties.userPropertyCount, 2);
    assert.deepEqual(userProperties(bytes, properties), [
      ['k', 'v1'],
      ['k', 'v2'],
    ]);
  });

  test('are gone with the next packet', () => {
    const view = new PublishView();
    readWith("01 01 02 00 00 00 01 03 00 01 't' 08 00 01 'r' 09 00 00 23 00 09 26 00 00 00 00", view);
    readWith('', view);
    const { start, end, ...fields } = view.properties;
    const { start: s, end: e, ...fresh } = new PublishView().properties;
    assert.equal(start, end);
    assert.equal(s, e);
    assert.deepEqual(fields, fresh);
  });

  test('are gone after a packet that was refused in their middle, too', () => {
    const view = new PublishView();
    assert.throws(() => readWith('23 00 09 ff', view), refusal('malformedPacket'));
    readWith('', view);
    assert.equal(view.properties.topicAlias, 0);
  });

  test('empty ones are there', () => {
    const { view } = readWith('03 00 00 09 00 00 26 00 00 00 00');
    assert.notEqual(view.properties.contentTypeStart, -1);
    assert.equal(view.properties.contentTypeStart, view.properties.contentTypeEnd);
    assert.notEqual(view.properties.correlationStart, -1);
    assert.equal(view.properties.userPropertyCount, 1);
  });

  test('stand there once, all but user properties', () => {
    for (const one of ['01 00', '02 00 00 00 01', "03 00 01 't'", "08 00 01 'r'", '09 00 00', '23 00 01']) {
      readWith(one);
      assert.throws(() => readWith(`${one} 26 00 00 00 00 ${one}`), refusal('protocolError', /twice/), one);
    }
  });

  test('hold no subscription identifier [MQTT-3.3.4-6]', () => {
    assert.throws(() => readWith('0b 01'), refusal('protocolError', /subscription identifier/));
  });

  test('hold no topic alias 0 [MQTT-3.3.2-8]', () => {
    assert.throws(() => readWith('23 00 00'), refusal('topicAliasInvalid', /alias is 0/));
  });

  test('hold a payload format of 0 or 1', () => {
    assert.equal(readWith('01 00').view.properties.payloadFormat, 0);
    assert.throws(() => readWith('01 02'), refusal('protocolError', /payload format/));
  });

  test('hold a response topic without wildcards [MQTT-3.3.2-14] that is not empty', () => {
    assert.throws(() => readWith("08 00 03 'a/+'"), refusal('protocolError', /wildcard/));
    assert.throws(() => readWith("08 00 01 '#'"), refusal('protocolError', /wildcard/));
    assert.throws(() => readWith('08 00 00'), refusal('protocolError', /empty/));
  });

  test('hold texts in UTF-8 [MQTT-3.3.2-13] [MQTT-3.3.2-19] [MQTT-1.5.7-1]', () => {
    for (const text of ['03 00 01 ff', '08 00 02 61 00', '26 00 01 ff 00 00', '26 00 00 00 03 ed a0 80']) {
      assert.throws(() => readWith(text), refusal('malformedPacket', /not UTF-8/), text);
    }
  });

  test('are none of other packets, and none that nobody knows', () => {
    for (const other of ['11 00 00 00 01', '1f 00 00', '00', '7f 00', '80 01', 'ff', '21 00 01', '22 00 01', '2a 01']) {
      assert.throws(() => readWith(other), refusal('malformedPacket', /can't hold/), other);
    }
  });

  test('end where their length says', () => {
    for (const cut of [
      '01',
      '02 00 00 00',
      '03 00',
      "03 00 02 'a'",
      '09 ff ff 00',
      '23 00',
      '26 00 00',
      '26 00 00 00',
      "26 00 00 00 02 'a'",
    ]) {
      assert.throws(() => readWith(cut), refusal('malformedPacket', /ends behind/), cut);
    }
    // What would be whole with the payload's bytes.
    assert.throws(() => read("30 07 00 01 'a' 01 01 01 01", 5), refusal('malformedPacket', /ends behind/));
  });
});
