/** The frames of a message behind its method: one content header, then as many body frames as its size asks for. */
import { frameEnd, frameOverheadBytes, frameType, basicClass } from './protocol.ts';

/** Class, weight and body size, before the properties. */
export const headerFixedBytes = 12;

/** A content header frame; `properties` from the flags on. */
export function headerFrame(channel: number, bodyBytes: number, properties: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(frameOverheadBytes + headerFixedBytes + properties.length);
  let at = frame.writeUInt8(frameType.header, 0);
  at = frame.writeUInt16BE(channel, at);
  at = frame.writeUInt32BE(headerFixedBytes + properties.length, at);
  at = frame.writeUInt16BE(basicClass, at);
  at = frame.writeUInt16BE(0, at);
  at = frame.writeBigUInt64BE(BigInt(bodyBytes), at);
  frame.set(properties, at);
  frame[frame.length - 1] = frameEnd;
  return frame;
}

export function bodyFrame(channel: number, body: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(frameOverheadBytes + body.length);
  let at = frame.writeUInt8(frameType.body, 0);
  at = frame.writeUInt16BE(channel, at);
  at = frame.writeUInt32BE(body.length, at);
  frame.set(body, at);
  frame[frame.length - 1] = frameEnd;
  return frame;
}

export function heartbeatFrame(): Buffer {
  return Buffer.of(frameType.heartbeat, 0, 0, 0, 0, 0, 0, frameEnd);
}
