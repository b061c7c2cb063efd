import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeFieldTable, type FieldTable } from '../../../src/format/field-table.ts';
import {
  connectionClose,
  connectionOpen,
  connectionStartOk,
  connectionTuneOk,
} from '../../../src/wire/amqp/connection-methods.ts';
import { protocolHeader } from '../../../src/wire/amqp/protocol.ts';
import { queueDeclare } from '../../../src/wire/amqp/queue-methods.ts';
import { declaration, type Frame } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();
const hasty = await serve({ handshakeTimeoutMs: 60 });

describe('handshake', () => {
  test("offers PLAIN and AMQPLAIN and RabbitMQ's capabilities", async () => {
    const client = served.raw();
    client.send(protocolHeader);
    const { args } = await client.expect('connection.start');
    assert.deepEqual(args['mechanisms'], Buffer.from('PLAIN AMQPLAIN'));
    assert.deepEqual(args['locales'], Buffer.from('en_US'));
    assert.deepEqual([args['versionMajor'], args['versionMinor']], [0, 9]);
    const properties = args['serverProperties'] as FieldTable;
    assert.equal(properties['product'], 'Postrider');
    assert.equal(properties['version'], '0.0.1');
    assert.deepEqual(Object.keys(properties['capabilities'] as FieldTable), [
      'publisher_confirms',
      'exchange_exchange_bindings',
      'basic.nack',
      'consumer_cancel_notify',
      'connection.blocked',
      'consumer_priorities',
      'authentication_failure_close',
      'per_consumer_qos',
      'direct_reply_to',
    ]);
  });

  test('proposes channel_max 2047, frame_max 131072 and a heartbeat of 60 s', async () => {
    const client = served.raw();
    await client.startOk();
    assert.deepEqual(
      { ...(await client.expect('connection.tune')).args },
      { channelMax: 2047, frameMax: 131_072, heartbeat: 60 },
    );
  });

  test('logs in by AMQPLAIN', async () => {
    const response = encodeFieldTable({ LOGIN: 'guest', PASSWORD: 'guest' }).subarray(4);
    await served.client({ mechanism: 'AMQPLAIN', response });
  });

  test('goes through byte by byte', async () => {
    const client = served.raw();
    const args = { clientProperties: {}, mechanism: 'PLAIN', response: Buffer.from('\0guest\0guest'), locale: 'en_US' };
    const bytes = Buffer.concat([
      protocolHeader,
      connectionStartOk.frame(0, args),
      connectionTuneOk.frame(0, { channelMax: 10, frameMax: 4096, heartbeat: 0 }),
      connectionOpen.frame(0, { virtualHost: '/' }),
    ]);
    for (const byte of bytes) {
      client.send(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.expect('connection.start');
    await client.expect('connection.tune');
    await client.expect('connection.open_ok');
  });

  test('refuses a wrong password with 403 where the client can take it, else in silence', async () => {
    const told = served.raw();
    await told.startOk({ password: 'wrong' });
    assertClose(
      await told.expect('connection.close'),
      403,
      'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.',
    );
    const untold = served.raw();
    await untold.startOk({ password: 'wrong', capabilities: {} });
    assert.deepEqual(await untold.untilEnd(), []);
    assert.ok(served.lines.some((line) => line.includes('login of user "guest" by PLAIN was refused')));
    assert.ok(!served.lines.some((line) => line.includes('wrong')), 'a password was logged');
  });

  test('ends without a word on an unknown mechanism and on a damaged response', async () => {
    for (const options of [{ mechanism: 'EXTERNAL' }, { response: Buffer.from('guest') }]) {
      const client = served.raw();
      await client.startOk(options);
      assert.deepEqual(await client.untilEnd(), []);
    }
  });

  for (const [options, text] of [
    [{ channelMax: 0 }, 'negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)'],
    [{ channelMax: 2048 }, 'negotiated channel_max = 2048 is higher than the maximum allowed value (2047)'],
    [{ frameMax: 0 }, 'negotiated frame_max = 0 (no limit) is higher than the maximum allowed value (131072)'],
    [{ frameMax: 1000 }, 'negotiated frame_max = 1000 is lower than the minimum allowed value (4096)'],
  ] as const) {
    test(`refuses ${JSON.stringify(options)}`, async () => {
      const client = served.raw();
      await client.startOk();
      await client.expect('connection.tune');
      client.tuneOk(options);
      assertClose(await client.expect('connection.close'), 530, `NOT_ALLOWED - ${text}`);
    });
  }

  test('refuses a vhost that is not there', async () => {
    const client = served.raw();
    await client.startOk();
    await client.expect('connection.tune');
    client.tuneOk({ virtualHost: 'nope' });
    assertClose(await client.expect('connection.close'), 530, 'NOT_ALLOWED - vhost nope not found', connectionOpen.id);
  });

  for (const header of ['GET / HTTP/1.1\r\n\r\n', 'AMQP\x00\x01\x00\x00', 'AMQP\x00\x00\x08\x00', 'X']) {
    test(`answers ${JSON.stringify(header)} with its own header and ends`, async () => {
      const client = served.raw();
      client.send(Buffer.from(header, 'latin1'));
      await client.untilEnd();
      assert.deepEqual(client.received, protocolHeader);
    });
  }

  test('Memory from declared length before auth: a frame of more than 8 KiB is refused on its size alone', async () => {
    const client = served.raw();
    client.send(protocolHeader);
    await client.expect('connection.start');
    client.send(Buffer.from([1, 0, 0, 0xff, 0xff, 0xff, 0xff]));
    assert.deepEqual(await client.untilEnd(), []);
    assert.ok(
      served.lines.at(-1)?.includes('FRAME_ERROR - type 1, frame of 4294967295 bytes is larger than the 8192 allowed'),
    );
  });

  test('Missing authentication: no method is heard before login', async () => {
    for (const frame of [
      queueDeclare.frame(1, declaration),
      queueDeclare.frame(0, declaration),
      connectionTuneOk.frame(0, { channelMax: 10, frameMax: 4096, heartbeat: 0 }),
      connectionOpen.frame(0, { virtualHost: '/' }),
      connectionClose.frame(0, { replyCode: 200, replyText: '', classId: 0, methodId: 0 }),
    ]) {
      const client = served.raw();
      client.send(protocolHeader);
      await client.expect('connection.start');
      client.send(frame);
      assert.deepEqual(await client.untilEnd(), []);
    }
  });
});

test('ends a handshake that takes too long, and lets one go on that was done in time', async () => {
  const done = await hasty.client();
  for (const bytes of [Buffer.alloc(0), Buffer.from('AMQ'), protocolHeader]) {
    const client = hasty.raw();
    client.send(bytes);
    await client.untilEnd();
    assert.ok(client.ended);
  }
  await done.declare('still-there');
});

function assertClose(frame: Frame, code: number, text: string, id?: number): void {
  assert.equal(frame.args['replyText'], text);
  assert.equal(frame.args['replyCode'], code);
  if (id !== undefined) assert.deepEqual([frame.args['classId'], frame.args['methodId']], [id >>> 16, id & 0xffff]);
}
