/** What kind of frame it is, and the refusals of one that may not be. */
import { ConnectionError } from '../../wire/amqp/amqp-error.ts';
import { frameHeadBytes, frameOverheadBytes, frameType } from '../../wire/amqp/protocol.ts';

/** Class and method of a method frame, or null. */
export function methodOf(bytes: Buffer, start: number, next: number): number | null {
  if (bytes[start] !== frameType.method || next - start < frameOverheadBytes + 4) return null;
  return bytes.readUInt32BE(start + frameHeadBytes);
}

/** On a channel. @throws ConnectionError */
export function checkChannelFrame(type: number, size: number): void {
  if (type === frameType.heartbeat && size === 0) throw unexpectedFrame(type);
  if (type === frameType.heartbeat || (type === frameType.method && size < 4)) throw unknownFrame(type);
  if (type !== frameType.method && !isContent(type)) throw unknownFrame(type);
}

/** What is wrong with a frame of channel 0 that is neither a method nor a heartbeat. */
export function notForConnection(type: number): ConnectionError {
  return isContent(type) ? unexpectedFrame(type) : unknownFrame(type);
}

export function unexpectedFrame(type: number): ConnectionError {
  return new ConnectionError('UNEXPECTED_FRAME', `type ${type} is not expected here`);
}

function unknownFrame(type: number): ConnectionError {
  return new ConnectionError('FRAME_ERROR', `type ${type}, unknown frame`);
}

function isContent(type: number): boolean {
  return type === frameType.header || type === frameType.body;
}
