// The few AMQP 0-9-1 frames that a load generator sends. Written apart from src/wire on purpose: a codec that both sides
// shared could hide its own mistakes.

export const frameMethod = 1;
export const frameHeader = 2;
export const frameBody = 3;
export const frameOverheadBytes = 8;
const frameEnd = 0xce;

/** Class and method in one number, as they stand in the first four bytes of a method frame. */
export const methods = {
  connectionStart: 0x000a000a,
  connectionStartOk: 0x000a000b,
  connectionTune: 0x000a001e,
  connectionTuneOk: 0x000a001f,
  connectionOpen: 0x000a0028,
  connectionOpenOk: 0x000a0029,
  connectionClose: 0x000a0032,
  connectionCloseOk: 0x000a0033,
  channelOpen: 0x0014000a,
  channelOpenOk: 0x0014000b,
  channelClose: 0x00140028,
  channelCloseOk: 0x00140029,
  exchangeDeclare: 0x0028000a,
  exchangeDeclareOk: 0x0028000b,
  exchangeDelete: 0x00280014,
  exchangeDeleteOk: 0x00280015,
  queueDeclare: 0x0032000a,
  queueDeclareOk: 0x0032000b,
  queueBind: 0x00320014,
  queueBindOk: 0x00320015,
  queueDelete: 0x00320028,
  queueDeleteOk: 0x00320029,
  basicQos: 0x003c000a,
  basicQosOk: 0x003c000b,
  basicConsume: 0x003c0014,
  basicConsumeOk: 0x003c0015,
  basicCancel: 0x003c001e,
  basicCancelOk: 0x003c001f,
  basicPublish: 0x003c0028,
  basicReturn: 0x003c0032,
  basicDeliver: 0x003c003c,
  basicAck: 0x003c0050,
  basicNack: 0x003c0078,
  confirmSelect: 0x0055000a,
  confirmSelectOk: 0x0055000b,
  txSelect: 0x005a000a,
  txSelectOk: 0x005a000b,
  txCommit: 0x005a0014,
  txCommitOk: 0x005a0015,
} as const;

export function methodName(id: number): string {
  for (const [name, value] of Object.entries(methods)) if (value === id) return name;
  return `method ${id >>> 16}.${id & 0xffff}`;
}

export function frame(type: number, channel: number, ...parts: Buffer[]): Buffer {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const head = Buffer.alloc(7);
  head.writeUInt8(type, 0);
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(size, 3);
  return Buffer.concat([head, ...parts, Buffer.of(frameEnd)]);
}

export function method(channel: number, id: number, ...parts: Buffer[]): Buffer {
  return frame(frameMethod, channel, long(id), ...parts);
}

export const octet = (value: number): Buffer => Buffer.of(value);

export function short(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function long(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function longLong(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

export function shortString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([octet(bytes.length), bytes]);
}

export function longString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([long(bytes.length), bytes]);
}

export const emptyTable = (): Buffer => long(0);

/** A field table of one long string. */
export function tableOf(name: string, value: string): Buffer {
  const field = Buffer.concat([shortString(name), Buffer.from('S'), longString(value)]);
  return Buffer.concat([long(field.length), field]);
}

function delayTable(delayMs: number): Buffer {
  const field = Buffer.concat([shortString('x-delay'), Buffer.from('I'), long(delayMs)]);
  return Buffer.concat([long(field.length), field]);
}

/** basic.publish, its content header (delivery-mode 2: persistent; `x-delay`, when it is delayed) and an empty body of that size. */
export function publishFrames(
  channel: number,
  exchange: string,
  routingKey: string,
  bodyBytes: number,
  delayMs?: number,
): Buffer {
  const persistent =
    delayMs === undefined
      ? Buffer.concat([short(1 << 12), octet(2)])
      : Buffer.concat([short((1 << 13) | (1 << 12)), delayTable(delayMs), octet(2)]);
  return Buffer.concat([
    method(channel, methods.basicPublish, short(0), shortString(exchange), shortString(routingKey), octet(0)),
    frame(frameHeader, channel, short(60), short(0), longLong(bodyBytes), persistent),
    frame(frameBody, channel, Buffer.alloc(bodyBytes)),
  ]);
}

export const ackFrameBytes = 21;

/** Where the delivery tag lies in an ack frame. */
export const ackTagAt = 11;

/** A buffer of `count` basic.ack frames whose tags are still to be written. */
export function ackFrames(channel: number, count: number, multiple: boolean): Buffer {
  const one = method(channel, methods.basicAck, longLong(0), octet(multiple ? 1 : 0));
  const all = Buffer.alloc(count * ackFrameBytes);
  for (let index = 0; index < count; index++) one.copy(all, index * ackFrameBytes);
  return all;
}
