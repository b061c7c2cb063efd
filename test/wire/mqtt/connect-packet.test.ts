import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeConnect, type ConnectPacket } from '../../../src/wire/mqtt/connect-packet.ts';
import { MqttError } from '../../../src/wire/mqtt/mqtt-error.ts';
import type { ProtocolVersion } from '../../../src/wire/mqtt/packet-type.ts';
import { bytesOf, refusal } from './refusal.ts';

/** What stands behind the fixed header. */
function decode(drawn: string, maxLevels?: number): ConnectPacket {
  const bytes = bytesOf(drawn);
  return decodeConnect(bytes, 0, bytes.length, maxLevels);
}

const v4 = "00 04 'MQTT' 04";
const v5 = "00 04 'MQTT' 05";
const client = "00 02 'c1'";

/** With these properties, whose length is put in. */
function withProperties(properties: string, flags = '02', payload = client): ConnectPacket {
  return decode(`${v5} ${flags} 00 3c ${lengthOf(properties)} ${properties} ${payload}`);
}

function withWillProperties(properties: string): ConnectPacket {
  return withProperties('', '06', `${client} ${lengthOf(properties)} ${properties} 00 01 't' 00 00`);
}

function lengthOf(properties: string): string {
  return bytesOf(properties).length.toString(16).padStart(2, '0');
}

describe('CONNECT', () => {
  test('of 3.1.1, all of it', () => {
    assert.deepEqual(decode(`${v4} f6 01 2c ${client} 00 03 'w/t' 00 03 'bye' 00 04 'user' 00 02 00 ff`), {
      version: 4,
      clientId: 'c1',
      cleanStart: true,
      keepAliveSeconds: 300,
      will: { topic: 'w/t', payload: Buffer.from('bye'), qos: 2, retain: true, properties: {}, userProperties: [] },
      userName: 'user',
      password: Buffer.of(0, 0xff),
      properties: {},
      userProperties: [],
    });
  });

  test('of 3.1.1, the least of it', () => {
    assert.deepEqual(decode(`${v4} 02 00 00 00 00`), {
      version: 4,
      clientId: '',
      cleanStart: true,
      keepAliveSeconds: 0,
      will: null,
      userName: null,
      password: null,
      properties: {},
      userProperties: [],
    });
  });

  test('of 5.0, all of it', () => {
    const properties =
      "11 ff ff ff ff 21 00 14 27 00 00 10 00 22 00 0a 19 01 17 00 15 00 05 'SCRAM' 16 00 01 aa 26 00 01 'k' 00 01 'v' 26 00 01 'k' 00 00";
    const willProperties =
      "18 00 00 00 0a 01 01 02 00 00 00 3c 03 00 04 'text' 08 00 01 'r' 09 00 01 bb 26 00 01 'w' 00 01 'p'";
    const packet = withProperties(
      properties,
      'ee',
      `${client} ${lengthOf(willProperties)} ${willProperties} 00 01 't' 00 02 'hi' 00 01 'u' 00 01 'p'`,
    );
    assert.deepEqual(packet, {
      version: 5,
      clientId: 'c1',
      cleanStart: true,
      keepAliveSeconds: 60,
      will: {
        topic: 't',
        payload: Buffer.from('hi'),
        qos: 1,
        retain: true,
        properties: {
          willDelayInterval: 10,
          payloadFormatIndicator: true,
          messageExpiryInterval: 60,
          contentType: 'text',
          responseTopic: 'r',
          correlationData: Buffer.of(0xbb),
        },
        userProperties: [['w', 'p']],
      },
      userName: 'u',
      password: Buffer.from('p'),
      properties: {
        sessionExpiryInterval: 0xffff_ffff,
        receiveMaximum: 20,
        maximumPacketSize: 4096,
        topicAliasMaximum: 10,
        requestResponseInformation: true,
        requestProblemInformation: false,
        authenticationMethod: 'SCRAM',
        authenticationData: Buffer.of(0xaa),
      },
      userProperties: [
        ['k', 'v'],
        ['k', ''],
      ],
    });
  });

  test('keeps nothing of the bytes that it was read from', () => {
    const bytes = bytesOf(`${v4} c6 00 00 ${client} 00 01 't' 00 03 'bye' 00 01 'u' 00 01 'p'`);
    const packet = decodeConnect(bytes, 0, bytes.length);
    bytes.fill(0xee);
    assert.deepEqual(packet.will!.payload, Buffer.from('bye'));
    assert.deepEqual(packet.password, Buffer.from('p'));
  });

  test('of MQTT 3.1 has another name', () => {
    assert.equal(decode(`00 06 'MQIsdp' 03 02 00 3c ${client}`).version, 3);
    assert.throws(() => decode("00 06 'MQIsdp' 03 02 00 3c 00 00"), refusal('clientIdentifierNotValid'));
  });

  test('of an unknown version is answered in the nearest form [MQTT-3.1.2-2], of another protocol in none [MQTT-3.1.2-1]', () => {
    const answers: [string, ProtocolVersion | null][] = [
      ["00 04 'MQTT' 06", 5],
      ["00 04 'MQTT' 03", 4],
      ["00 04 'MQTT' 00", 4],
      ["00 06 'MQIsdp' 04", 4],
      ["00 04 'MQTT' 84", 4],
      ["00 04 'MQTT' 85", 4],
      ["00 04 'mqtt' 04", null],
      ["00 04 'AMQP' 05", null],
      ['00 00 04', null],
    ];
    for (const [drawn, version] of answers) {
      assert.throws(
        () => decode(`${drawn} 02 00 3c ${client}`),
        (error) => {
          assert.ok(error instanceof MqttError);
          assert.equal(error.version, version, drawn);
          return refusal('unsupportedProtocolVersion')(error);
        },
      );
    }
  });

  test('that is wrong further on says in which version', () => {
    for (const [drawn, version] of [
      [v4, 4],
      [v5, 5],
    ] as const) {
      assert.throws(
        () => decode(`${drawn} 03 00 3c`),
        (error) => error instanceof MqttError && error.version === version,
      );
    }
  });

  test('has a reserved flag of 0 [MQTT-3.1.2-3]', () => {
    assert.throws(() => decode(`${v4} 03 00 3c ${client}`), refusal('malformedPacket', /reserved flag/));
  });

  test('has a will QoS of 0, 1 or 2 [MQTT-3.1.2-12]', () => {
    assert.throws(() => decode(`${v4} 1e 00 3c ${client} 00 01 't' 00 00`), refusal('malformedPacket', /QoS 3/));
  });

  test('without a will has no QoS [MQTT-3.1.2-11] and no retain flag of one [MQTT-3.1.2-13]', () => {
    for (const flags of ['0a', '12', '22']) {
      assert.throws(() => decode(`${v4} ${flags} 00 3c ${client}`), refusal('malformedPacket', /no will/), flags);
    }
  });

  test('has a password without a user name only in 5.0 (3.1.1 [MQTT-3.1.2-22])', () => {
    assert.throws(
      () => decode(`${v4} 42 00 3c ${client} 00 01 'p'`),
      refusal('malformedPacket', /without a user name/),
    );
    const packet = withProperties('', '42', `${client} 00 01 'p'`);
    assert.equal(packet.userName, null);
    assert.deepEqual(packet.password, Buffer.from('p'));
  });

  test('has a user name where its flag says so, which may be empty [MQTT-3.1.2-17]', () => {
    assert.equal(decode(`${v4} 82 00 3c ${client} 00 00`).userName, '');
    assert.throws(() => decode(`${v4} 82 00 3c ${client}`), refusal('malformedPacket', /ends before/));
  });

  test('of 3.1.1 may leave out its identifier only for a clean session (3.1.1 [MQTT-3.1.3-8])', () => {
    assert.throws(() => decode(`${v4} 00 00 3c 00 00`), refusal('clientIdentifierNotValid'));
    assert.equal(withProperties('', '00', '00 00').clientId, '');
  });

  test('has texts in UTF-8 [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12]', () => {
    for (const rest of [
      '02 00 3c 00 01 ff',
      `06 00 3c ${client} 00 01 00 00 00`,
      `82 00 3c ${client} 00 03 ed a0 80`,
    ]) {
      assert.throws(() => decode(`${v4} ${rest}`), refusal('malformedPacket', /not UTF-8/), rest);
    }
  });

  test('has a will topic without wildcards, not empty, not too deep', () => {
    for (const topic of ["00 03 'a/+'", "00 01 '#'", '00 00']) {
      assert.throws(() => decode(`${v4} 06 00 3c ${client} ${topic} 00 00`), refusal('topicNameInvalid'), topic);
    }
    const deep = `${v4} 06 00 3c ${client} 00 05 'a/b/c' 00 00`;
    assert.equal(decode(deep, 3).will!.topic, 'a/b/c');
    assert.throws(() => decode(deep, 2), refusal('topicNameInvalid', /levels/));
  });

  test('ends where its fields do', () => {
    const whole = bytesOf(
      `${v5} c6 00 3c 05 11 00 00 00 01 ${client} 02 01 01 00 01 't' 00 01 'm' 00 01 'u' 00 01 'p'`,
    );
    assert.equal(decodeConnect(whole, 0, whole.length).userName, 'u');
    for (let end = 0; end < whole.length; end++) {
      assert.throws(() => decodeConnect(whole, 0, end), refusal('malformedPacket', /ends before/), `cut at ${end}`);
    }
    assert.throws(() => decode(`${v4} 02 00 3c ${client} 00`), refusal('malformedPacket', /1 bytes too many/));
  });
});

describe('the properties of CONNECT', () => {
  test('stand there once', () => {
    for (const one of ['11 00 00 00 01', '21 00 01', '27 00 00 00 01', '22 00 00', '19 00', '17 01', "15 00 01 'm'"]) {
      withProperties(one);
      assert.throws(() => withProperties(`${one} ${one}`), refusal('protocolError', /twice/), one);
    }
    assert.throws(() => withProperties("15 00 01 'm' 16 00 00 16 00 00"), refusal('protocolError', /twice/));
  });

  test('allow no receive maximum and no packet size of 0', () => {
    assert.throws(() => withProperties('21 00 00'), refusal('protocolError', /receiveMaximum of CONNECT is 0/));
    assert.throws(
      () => withProperties('27 00 00 00 00'),
      refusal('protocolError', /maximumPacketSize of CONNECT is 0/),
    );
  });

  test('say 0 or 1 where they are flags', () => {
    assert.throws(() => withProperties('19 02'), refusal('protocolError', /not 0 or 1/));
    assert.throws(() => withProperties('17 ff'), refusal('protocolError', /not 0 or 1/));
  });

  test('hold no authentication data without a method', () => {
    assert.throws(() => withProperties('16 00 01 aa'), refusal('protocolError', /without an authentication method/));
  });

  test('are none of other packets, and none that nobody knows', () => {
    for (const other of ['18 00 00 00 01', '01 01', '23 00 01', '0b 01', '1f 00 00', '00', '7f', 'ff', '80 01']) {
      assert.throws(() => withProperties(other), refusal('malformedPacket', /can't hold/), other);
    }
  });

  test('have a length in as few bytes as it needs [MQTT-1.5.5-1], of four at most', () => {
    assert.throws(
      () => decode(`${v5} 02 00 3c 80 00 ${client}`),
      refusal('malformedPacket', /more bytes than it needs/),
    );
    assert.throws(() => decode(`${v5} 02 00 3c ff ff ff ff 01 ${client}`), refusal('malformedPacket', /four bytes/));
    assert.throws(() => decode(`${v5} 02 00 3c ff ff ff 7f ${client}`), refusal('malformedPacket', /ends before/));
  });

  test('do not reach behind their length', () => {
    assert.throws(
      () => decode(`${v5} 02 00 3c 03 11 00 00 00 01 ${client}`),
      refusal('malformedPacket', /ends before/),
    );
  });

  test('of a will are its own, once each', () => {
    for (const one of ['18 00 00 00 01', '01 00', '02 00 00 00 01', '03 00 00', "08 00 01 'r'", '09 00 00']) {
      withWillProperties(one);
      assert.throws(() => withWillProperties(`${one} ${one}`), refusal('protocolError', /twice/), one);
    }
    for (const other of ['11 00 00 00 01', '23 00 01', '0b 01', '21 00 01']) {
      assert.throws(() => withWillProperties(other), refusal('malformedPacket', /can't hold/), other);
    }
  });

  test('of a will have a response topic without wildcards [MQTT-3.3.2-14] and a payload format of 0 or 1', () => {
    assert.throws(() => withWillProperties("08 00 03 'a/#'"), refusal('protocolError', /response topic/));
    assert.throws(() => withWillProperties('08 00 00'), refusal('protocolError', /response topic/));
    assert.throws(() => withWillProperties('01 02'), refusal('protocolError', /not 0 or 1/));
  });
});
