import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  basicAck,
  basicCancel,
  basicConsume,
  basicDeliver,
  basicGet,
  basicNack,
  basicPublish,
  basicQos,
  basicRecover,
  basicReject,
  confirmSelect,
} from '../../../src/wire/amqp/basic-methods.ts';
import {
  accessRequest,
  channelClose,
  channelCloseOk,
  channelFlow,
  channelOpen,
} from '../../../src/wire/amqp/channel-methods.ts';
import { connectionOpen, connectionUpdateSecret } from '../../../src/wire/amqp/connection-methods.ts';
import { bodyFrame, headerFrame } from '../../../src/wire/amqp/content.ts';
import { exchangeDeclare } from '../../../src/wire/amqp/exchange-methods.ts';
import { queueBind, queueDeclare, queueDelete, queuePurge } from '../../../src/wire/amqp/queue-methods.ts';
import { declaration, publish } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();

const noProperties = Buffer.from([0, 0]);
const publishMethod = basicPublish.frame(1, { exchange: '', routingKey: 'q', mandatory: false, immediate: false });
const consume = {
  queue: 'x',
  consumerTag: '',
  noLocal: false,
  noAck: false,
  exclusive: false,
  noWait: false,
  arguments: {},
};
const exchange = {
  exchange: 'amq.direct',
  type: 'direct',
  passive: false,
  durable: true,
  autoDelete: false,
  internal: false,
  noWait: false,
  arguments: {},
};
const settle = { deliveryTag: 5, multiple: false, requeue: false };

function method(number: number, classId: number, methodId: number, args: readonly number[] = []): Buffer {
  const payload = [classId >> 8, classId & 0xff, methodId >> 8, methodId & 0xff, ...args];
  return Buffer.from([1, 0, number, 0, 0, 0, payload.length, ...payload, 0xce]);
}

interface Case {
  readonly name: string;
  readonly frames: Buffer;
  readonly code: number;
  readonly text: string;
  /** Class and method that the close names. */
  readonly id: number;
}

const consumeId = basicConsume.id;
const publishId = basicPublish.id;

const channelErrors: readonly Case[] = [
  {
    name: 'a passive declaration of no queue',
    frames: queueDeclare.frame(1, { ...declaration, queue: 'x', passive: true }),
    code: 404,
    text: "NOT_FOUND - no queue 'x' in vhost '/'",
    id: queueDeclare.id,
  },
  {
    name: 'a passive declaration of no exchange',
    frames: exchangeDeclare.frame(1, { ...exchange, exchange: 'x', passive: true }),
    code: 404,
    text: "NOT_FOUND - no exchange 'x' in vhost '/'",
    id: exchangeDeclare.id,
  },
  {
    name: 'an unknown exchange type',
    frames: exchangeDeclare.frame(1, { ...exchange, exchange: 'x', type: 'nope' }),
    code: 406,
    text: "PRECONDITION_FAILED - unknown exchange type 'nope'",
    id: exchangeDeclare.id,
  },
  {
    name: 'consuming from no queue',
    frames: basicConsume.frame(1, consume),
    code: 404,
    text: "NOT_FOUND - no queue 'x' in vhost '/'",
    id: consumeId,
  },
  {
    name: 'getting from no queue',
    frames: basicGet.frame(1, { queue: 'x', noAck: false }),
    code: 404,
    text: "NOT_FOUND - no queue 'x' in vhost '/'",
    id: basicGet.id,
  },
  {
    name: 'purging no queue',
    frames: queuePurge.frame(1, { queue: 'x', noWait: false }),
    code: 404,
    text: "NOT_FOUND - no queue 'x' in vhost '/'",
    id: queuePurge.id,
  },
  {
    name: 'an empty queue name before any declaration',
    frames: basicConsume.frame(1, { ...consume, queue: '' }),
    code: 404,
    text: 'NOT_FOUND - no previously declared queue',
    id: consumeId,
  },
  {
    name: 'binding to no exchange',
    frames: Buffer.concat([
      queueDeclare.frame(1, { ...declaration, queue: 'bound', noWait: true }),
      queueBind.frame(1, { queue: '', exchange: 'x', routingKey: '', noWait: false, arguments: {} }),
    ]),
    code: 404,
    text: "NOT_FOUND - no exchange 'x' in vhost '/'",
    id: queueBind.id,
  },
  {
    name: 'publishing to no exchange',
    frames: publish('q', 'body', { exchange: 'x' }),
    code: 404,
    text: "NOT_FOUND - no exchange 'x' in vhost '/'",
    id: publishId,
  },
  {
    name: 'a reserved name',
    frames: exchangeDeclare.frame(1, { ...exchange, exchange: 'amq.x' }),
    code: 403,
    text: "ACCESS_REFUSED - exchange name 'amq.x' contains reserved prefix 'amq.*'",
    id: exchangeDeclare.id,
  },
  {
    name: 'another type than an exchange has',
    frames: exchangeDeclare.frame(1, { ...exchange, type: 'fanout' }),
    code: 406,
    text: "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.direct' in vhost '/': received 'fanout' but current is 'direct'",
    id: exchangeDeclare.id,
  },
  {
    name: 'acking an unknown tag',
    frames: basicAck.frame(1, settle),
    code: 406,
    text: 'PRECONDITION_FAILED - unknown delivery tag 5',
    id: basicAck.id,
  },
  {
    name: 'acking tag 0 alone',
    frames: basicAck.frame(1, { ...settle, deliveryTag: 0 }),
    code: 406,
    text: 'PRECONDITION_FAILED - unknown delivery tag 0',
    id: basicAck.id,
  },
  {
    name: 'nacking an unknown tag',
    frames: basicNack.frame(1, settle),
    code: 406,
    text: 'PRECONDITION_FAILED - unknown delivery tag 5',
    id: basicNack.id,
  },
  {
    name: 'rejecting an unknown tag',
    frames: basicReject.frame(1, settle),
    code: 406,
    text: 'PRECONDITION_FAILED - unknown delivery tag 5',
    id: basicReject.id,
  },
  {
    name: 'an expiration that is no number',
    frames: publish('q', '', { properties: Buffer.from('\x01\x00\x03abc', 'latin1') }),
    code: 406,
    text: "PRECONDITION_FAILED - invalid expiration 'abc': no_integer",
    id: publishId,
  },
  {
    name: "another user's name",
    frames: publish('q', '', { properties: Buffer.from('\x00\x10\x03bob', 'latin1') }),
    code: 406,
    text: "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'",
    id: publishId,
  },
  {
    name: 'a message beyond 16 MiB, at its header',
    frames: Buffer.concat([publishMethod, headerFrame(1, 16_777_217, noProperties)]),
    code: 406,
    text: 'PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216',
    id: publishId,
  },
];

const connectionErrors: readonly Case[] = [
  {
    name: 'a wrong frame end',
    frames: Buffer.concat([channelFlow.frame(1, { active: true }).subarray(0, -1), Buffer.of(0)]),
    code: 501,
    text: 'FRAME_ERROR - type 1, invalid frame end marker 0',
    id: 0,
  },
  {
    name: 'an unknown frame type',
    frames: Buffer.from([9, 0, 1, 0, 0, 0, 0, 0xce]),
    code: 501,
    text: 'FRAME_ERROR - type 9, unknown frame',
    id: 0,
  },
  {
    name: 'a frame beyond frame_max',
    frames: Buffer.from([3, 0, 1, 0, 2, 0, 1]),
    code: 501,
    text: 'FRAME_ERROR - type 3, frame of 131073 bytes is larger than the 131072 allowed',
    id: 0,
  },
  {
    name: 'a heartbeat with a payload',
    frames: Buffer.from([8, 0, 0, 0, 0, 0, 1, 0, 0xce]),
    code: 501,
    text: 'FRAME_ERROR - type 8, unknown frame',
    id: 0,
  },
  {
    name: 'a body longer than its header said',
    frames: publish('q', 'body', { bodySize: 3 }),
    code: 501,
    text: 'FRAME_ERROR - content body frame exceeds remaining content size',
    id: publishId,
  },
  {
    name: 'arguments that end early',
    frames: method(1, 50, 10, [0, 0]),
    code: 501,
    text: 'FRAME_ERROR - cannot decode <<0,0>>',
    id: queueDeclare.id,
  },
  {
    name: 'arguments that are too long',
    frames: method(1, 20, 20, [1, 1]),
    code: 501,
    text: 'FRAME_ERROR - cannot decode <<1,1>>',
    id: channelFlow.id,
  },
  {
    name: 'a settlement of another length',
    frames: method(1, 60, 80, [0]),
    code: 501,
    text: 'FRAME_ERROR - cannot decode <<0>>',
    id: basicAck.id,
  },
  {
    name: 'properties that end beyond their header',
    frames: publish('q', 'body', { properties: Buffer.from([0x80, 0, 0xff]) }),
    code: 502,
    text: 'SYNTAX_ERROR - a property ends beyond its content header',
    id: publishId,
  },
  {
    name: 'an unknown method',
    frames: method(1, 50, 99),
    code: 503,
    text: 'COMMAND_INVALID - unimplemented method',
    id: (50 << 16) | 99,
  },
  {
    name: 'a method that only servers send',
    frames: basicDeliver.frame(1, {
      consumerTag: 'c',
      deliveryTag: 1,
      redelivered: false,
      exchange: '',
      routingKey: '',
    }),
    code: 503,
    text: 'COMMAND_INVALID - unimplemented method',
    id: basicDeliver.id,
  },
  {
    name: 'a close-ok that nobody waits for',
    frames: channelCloseOk.frame(1, {}),
    code: 503,
    text: 'COMMAND_INVALID - unimplemented method',
    id: channelCloseOk.id,
  },
  {
    name: 'a channel that is not open',
    frames: publish('q', 'body', { channel: 7 }),
    code: 504,
    text: "CHANNEL_ERROR - expected 'channel.open'",
    id: publishId,
  },
  {
    name: 'opening a channel twice',
    frames: channelOpen.frame(1, {}),
    code: 504,
    text: "CHANNEL_ERROR - second 'channel.open' seen",
    id: channelOpen.id,
  },
  {
    name: 'opening the connection twice',
    frames: connectionOpen.frame(0, { virtualHost: '/' }),
    code: 504,
    text: 'CHANNEL_ERROR - unexpected method in connection state running',
    id: connectionOpen.id,
  },
  {
    name: "a channel's method on channel 0",
    frames: basicAck.frame(0, settle),
    code: 504,
    text: 'CHANNEL_ERROR - unexpected method in connection state running',
    id: basicAck.id,
  },
  {
    name: 'a body without a method',
    frames: bodyFrame(1, Buffer.from('x')),
    code: 505,
    text: 'UNEXPECTED_FRAME - expected method frame, got non method frame instead',
    id: 0,
  },
  {
    name: 'a body on a channel that is not open',
    frames: bodyFrame(7, Buffer.from('x')),
    code: 505,
    text: 'UNEXPECTED_FRAME - expected method frame, got non method frame instead',
    id: 0,
  },
  {
    name: 'a method where a header must be',
    frames: Buffer.concat([publishMethod, channelFlow.frame(1, { active: true })]),
    code: 505,
    text: 'UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead',
    id: publishId,
  },
  {
    name: 'a header of another class',
    frames: Buffer.concat([
      publishMethod,
      Buffer.from([2, 0, 1, 0, 0, 0, 14, 0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xce]),
    ]),
    code: 505,
    text: 'UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead',
    id: publishId,
  },
  {
    name: 'a method where a body must be',
    frames: Buffer.concat([publishMethod, headerFrame(1, 5, noProperties), publishMethod]),
    code: 505,
    text: 'UNEXPECTED_FRAME - expected content body, got non content body frame instead',
    id: publishId,
  },
  {
    name: 'a heartbeat on a channel',
    frames: Buffer.from([8, 0, 1, 0, 0, 0, 0, 0xce]),
    code: 505,
    text: 'UNEXPECTED_FRAME - type 8 is not expected here',
    id: 0,
  },
  {
    name: 'a body on channel 0',
    frames: bodyFrame(0, Buffer.from('x')),
    code: 505,
    text: 'UNEXPECTED_FRAME - type 3 is not expected here',
    id: 0,
  },
  {
    name: 'a channel number beyond channel_max',
    frames: channelOpen.frame(2048, {}),
    code: 530,
    text: 'NOT_ALLOWED - channel number 2048 is beyond the negotiated channel_max (2047)',
    id: channelOpen.id,
  },
  {
    name: 'a prefetch size',
    frames: basicQos.frame(1, { prefetchSize: 1, prefetchCount: 0, global: false }),
    code: 540,
    text: 'NOT_IMPLEMENTED - prefetch_size!=0 (1)',
    id: basicQos.id,
  },
  {
    name: 'immediate',
    frames: publish('q', 'body', { immediate: true }),
    code: 540,
    text: 'NOT_IMPLEMENTED - immediate=true',
    id: publishId,
  },
  {
    name: 'stopping the flow',
    frames: channelFlow.frame(1, { active: false }),
    code: 540,
    text: 'NOT_IMPLEMENTED - active=false',
    id: channelFlow.id,
  },
  {
    name: 'recovering without requeueing',
    frames: basicRecover.frame(1, { requeue: false }),
    code: 540,
    text: 'NOT_IMPLEMENTED - requeue=false',
    id: basicRecover.id,
  },
];

describe('channel errors', () => {
  for (const { name, frames, code, text, id } of channelErrors) {
    test(`${name}: ${code}, and the connection goes on`, async () => {
      const client = await served.client();
      // What follows on the channel is ignored, until it is opened again.
      client.send(frames, publish('ignored', 'body'), basicAck.frame(1, settle));
      const { args, channel } = await client.expect('channel.close');
      assert.deepEqual([args['replyText'], args['replyCode'], channel], [text, code, 1]);
      assert.deepEqual([args['classId'], args['methodId']], [id >>> 16, id & 0xffff]);
      await client.openChannel(2);
      client.send(channelCloseOk.frame(1, {}));
      await client.openChannel(1);
      await client.call(1, channelFlow, { active: true }, 'channel.flow_ok');
      client.end();
    });
  }
});

describe('connection errors', () => {
  for (const { name, frames, code, text, id } of connectionErrors) {
    test(`${name}: ${code}, and other connections go on`, async () => {
      const other = await served.client();
      const client = await served.client();
      client.send(frames);
      const { args, channel } = await client.expect('connection.close');
      assert.deepEqual([args['replyText'], args['replyCode'], channel], [text, code, 0]);
      assert.deepEqual([args['classId'], args['methodId']], [id >>> 16, id & 0xffff]);
      client.send(Buffer.from([1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 51, 0xce]));
      assert.deepEqual(await client.untilEnd(), []);
      await other.call(1, channelFlow, { active: true }, 'channel.flow_ok');
      other.end();
    });
  }
});

describe('what is no error', () => {
  test('acking all when there is nothing, cancelling nobody, deleting nothing, old realms and secrets', async () => {
    const client = await served.client();
    client.send(basicAck.frame(1, { deliveryTag: 0, multiple: true }));
    await client.call(1, basicCancel, { consumerTag: 'nobody', noWait: false }, 'basic.cancel_ok');
    await client.call(
      1,
      queueDelete,
      { queue: 'nope', ifUnused: false, ifEmpty: false, noWait: false },
      'queue.delete_ok',
    );
    const realm = { realm: '/data', exclusive: false, passive: false, active: true, write: true, read: true };
    await client.call(1, accessRequest, realm, 'access.request_ok');
    await client.call(
      0,
      connectionUpdateSecret,
      { newSecret: Buffer.from('x'), reason: '' },
      'connection.update_secret_ok',
    );
    await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
    await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
  });

  test('closing a channel while the server closes it', async () => {
    const client = await served.client();
    client.send(
      basicAck.frame(1, settle),
      channelClose.frame(1, { replyCode: 200, replyText: '', classId: 0, methodId: 0 }),
    );
    await client.expect('channel.close');
    await client.expect('channel.close_ok');
    client.send(channelCloseOk.frame(1, {}));
    await client.openChannel(1);
  });
});

test('a question for what is not there is no error to tell an operator', async () => {
  const client = await served.client();
  const before = served.lines.length;
  client.send(queueDeclare.frame(1, { ...declaration, queue: 'absent', passive: true }));
  await client.expect('channel.close');
  client.send(channelCloseOk.frame(1, {}));
  await client.openChannel(2);
  client.send(queuePurge.frame(2, { queue: 'absent', noWait: false }));
  await client.expect('channel.close');
  const told = served.lines.slice(before).map((line) => line.replace(/^.*: channel/, 'channel'));
  assert.deepEqual(told, ["channel 2: NOT_FOUND - no queue 'absent' in vhost '/'"]);
});
