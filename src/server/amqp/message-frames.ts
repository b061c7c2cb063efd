/** Hot path: the content header and body frames of a message, from the bytes as they are stored. */
import type { MessageView } from '../../broker/index.ts';
import { copyBytes } from '../../format/copy.ts';
import { headerFixedBytes } from '../../wire/amqp/content.ts';
import { basicClass, frameEnd, frameHeadBytes, frameOverheadBytes, frameType } from '../../wire/amqp/protocol.ts';
import type { Output } from '../socket/output.ts';

/** A message up to this size, with its frames, is written in one piece. */
export const smallMessageBytes = 4096;

const headerBytes = frameOverheadBytes + headerFixedBytes;

/** What `writeSmallContent` will write. */
export function contentBytes(message: MessageView): number {
  const bodyBytes = message.bodyEnd - message.bodyStart;
  const framed = bodyBytes === 0 ? 0 : bodyBytes + frameOverheadBytes;
  return headerBytes + message.propertiesEnd - message.propertiesStart + framed;
}

/** Writes both frames at `at`, where the caller reserved room, and answers their end. The body must fit into one frame. */
export function writeSmallContent(
  bytes: Buffer,
  view: DataView,
  start: number,
  channel: number,
  message: MessageView,
): number {
  let at = writeHeader(bytes, view, start, channel, message);
  const bodyBytes = message.bodyEnd - message.bodyStart;
  if (bodyBytes === 0) return at;
  bytes[at] = frameType.body;
  view.setUint16(at + 1, channel);
  view.setUint32(at + 3, bodyBytes);
  at = copyBytes(message.body, message.bodyStart, message.bodyEnd, bytes, view, at + frameHeadBytes);
  bytes[at] = frameEnd;
  return at + 1;
}

/** Writes a message of any size, its body in as many frames as `maxPayloadBytes` asks for. */
export function writeLargeContent(
  output: Output,
  channel: number,
  message: MessageView,
  maxPayloadBytes: number,
): void {
  output.reserve(frameHeadBytes + headerFixedBytes);
  output.at = writeHeaderHead(output.bytes, output.view, output.at, channel, message);
  output.write(message.head, message.propertiesStart, message.propertiesEnd);
  output.reserve(1);
  output.bytes[output.at++] = frameEnd;
  for (let from = message.bodyStart; from < message.bodyEnd;) {
    const to = Math.min(message.bodyEnd, from + maxPayloadBytes);
    output.reserve(frameHeadBytes);
    output.bytes[output.at] = frameType.body;
    output.view.setUint16(output.at + 1, channel);
    output.view.setUint32(output.at + 3, to - from);
    output.at += frameHeadBytes;
    output.write(message.body, from, to);
    output.reserve(1);
    output.bytes[output.at++] = frameEnd;
    from = to;
  }
}

function writeHeader(bytes: Buffer, view: DataView, start: number, channel: number, message: MessageView): number {
  const at = writeHeaderHead(bytes, view, start, channel, message);
  const end = copyBytes(message.head, message.propertiesStart, message.propertiesEnd, bytes, view, at);
  bytes[end] = frameEnd;
  return end + 1;
}

/** All before the properties. */
function writeHeaderHead(bytes: Buffer, view: DataView, at: number, channel: number, message: MessageView): number {
  bytes[at] = frameType.header;
  view.setUint16(at + 1, channel);
  view.setUint32(at + 3, headerFixedBytes + message.propertiesEnd - message.propertiesStart);
  view.setUint32(at + 7, basicClass << 16);
  view.setUint32(at + 11, 0);
  view.setUint32(at + 15, message.bodyEnd - message.bodyStart);
  return at + frameHeadBytes + headerFixedBytes;
}
