/**
 * Hot path: a socket read as one run of frames, handled straight out of the read buffer.
 *
 * basic.publish with all its frames in the buffer, basic.ack, basic.nack and basic.reject of a ready channel are handled here,
 * and nothing is allocated for them; every other frame goes to `FrameRouter.handle`.
 */
import { emptyMessage } from '../../broker/index.ts';
import { checkProperties, propertyFlag, propertyFlags } from '../../format/basic-properties.ts';
import { viewOf } from '../../format/copy.ts';
import { ChannelError, ConnectionError } from '../../wire/amqp/amqp-error.ts';
import { headerFixedBytes } from '../../wire/amqp/content.ts';
import { basicAck, basicNack, basicPublish, basicReject } from '../../wire/amqp/basic-methods.ts';
import { basicClass, frameEnd, frameHeadBytes, frameOverheadBytes, frameType } from '../../wire/amqp/protocol.ts';
import { undecodable } from '../../wire/amqp/undecodable.ts';
import type { Channel } from './channel.ts';
import type { Connection } from './connection.ts';
import { publishInTransaction, settleInTransaction } from './tx-publish.ts';

/** Filled again for each message: whoever gets it copies what it keeps. */
export const message = emptyMessage();

const methodHeadBytes = frameHeadBytes + 4;
const headerHeadBytes = frameHeadBytes + headerFixedBytes;
const classAndWeight = basicClass << 16;

/**
 * Handles the whole frames in `bytes[at, end)` and answers where the first that is not whole begins. With `only`, stops when
 * that channel waits.
 * @throws ConnectionError when the bytes are no frames
 */
export function runFrames(connection: Connection, bytes: Buffer, at: number, end: number, only?: Channel): number {
  const view = viewOf(bytes);
  const channels = connection.channels.byNumber;
  while (end - at >= frameOverheadBytes && !connection.deaf) {
    const size = view.getUint32(at + 3);
    if (size > connection.maxReceivedBytes) throw tooLarge(connection, bytes, at, size);
    const next = at + frameOverheadBytes + size;
    if (next > end) break;
    if (bytes[next - 1] !== frameEnd) throw badFrameEnd(bytes, at, next);
    const number = view.getUint16(at + 1);
    const channel = channels[number];
    if (bytes[at] === frameType.method && size >= 4 && channel !== undefined && channel.ready) {
      switch (view.getUint32(at + frameHeadBytes)) {
        case basicPublish.id:
          at = publish(connection, channel, bytes, view, at, next, end);
          if (only?.waiting === true) return at;
          continue;
        case basicAck.id:
        case basicNack.id:
        case basicReject.id:
          settle(connection, channel, bytes, view, at, next);
          at = next;
          continue;
      }
    }
    connection.frames.handle(bytes, at, next, number);
    at = next;
    if (only?.waiting === true) break;
  }
  return at;
}

/** Answers the end of what was handled: of the message, or of the method alone when the rest is not here whole. */
function publish(
  connection: Connection,
  channel: Channel,
  bytes: Buffer,
  view: DataView,
  start: number,
  header: number,
  end: number,
): number {
  try {
    channel.target.take(bytes, view, start + methodHeadBytes, header - 1);
    const next = wholeContent(connection, bytes, view, start, header, end);
    if (next > 0) {
      publishMessage(connection, channel);
      return next;
    }
    channel.content.begin();
    channel.settleReady();
  } catch (error) {
    connection.methodFailed(channel, basicPublish.id, error);
  }
  return header;
}

/** Fills `message` from a header frame and at most one body frame; 0 when they are not here whole, or not as they must be. */
function wholeContent(
  connection: Connection,
  bytes: Buffer,
  view: DataView,
  start: number,
  header: number,
  end: number,
): number {
  if (end - header < headerHeadBytes + 3) return 0;
  if (bytes[header] !== frameType.header || view.getUint16(header + 1) !== view.getUint16(start + 1)) return 0;
  const headerBytes = view.getUint32(header + 3);
  const body = header + frameOverheadBytes + headerBytes;
  if (headerBytes < headerFixedBytes + 2 || headerBytes > connection.maxReceivedBytes || body > end) return 0;
  if (bytes[body - 1] !== frameEnd || view.getUint32(header + frameHeadBytes) !== classAndWeight) return 0;
  if (view.getUint32(header + frameHeadBytes + 4) !== 0) return 0;
  const bodyBytes = view.getUint32(header + frameHeadBytes + 8);
  if (bodyBytes > connection.budget.maxMessageBytes) return 0;
  let next = body;
  if (bodyBytes > 0) {
    next = body + frameOverheadBytes + bodyBytes;
    if (next > end || bodyBytes > connection.maxReceivedBytes || bytes[next - 1] !== frameEnd) return 0;
    if (bytes[body] !== frameType.body || view.getUint16(body + 1) !== view.getUint16(start + 1)) return 0;
    if (view.getUint32(body + 3) !== bodyBytes) return 0;
  }
  message.head = bytes;
  // Exchange and routing key lie between the reserved short and the bits.
  message.envelopeStart = start + methodHeadBytes + 2;
  message.envelopeEnd = header - 2;
  message.propertiesStart = header + headerHeadBytes;
  message.propertiesEnd = body - 1;
  message.body = bytes;
  message.bodyStart = body + frameHeadBytes;
  message.bodyEnd = message.bodyStart + bodyBytes;
  return next;
}

/** Publishes what `message` holds to the channel's target. @throws BrokerError, FormatError, ConnectionError */
export function publishMessage(connection: Connection, channel: Channel): void {
  const { target, session } = channel;
  if (target.immediate) throw new ConnectionError('NOT_IMPLEMENTED', 'immediate=true');
  let route = target.route;
  let searched = false;
  if (route === null || route.version !== session.vhost.version) {
    route = session.vhost.route(session.principal, target.exchange, target.routingKey);
    target.route = route;
    searched = true;
  }
  checkProperties(message.head, message.propertiesStart, message.propertiesEnd);
  message.expiresAt = 0;
  message.priority = 0;
  message.dueAt = 0;
  if ((propertyFlags(message.head, message.propertiesStart) & propertyFlag.replyTo) !== 0) {
    connection.server.replies.address(channel, message);
  }
  if (session.transaction !== null) {
    publishInTransaction(channel, session.transaction, route, message);
    if (session.vhost.routes.tookLong()) connection.frames.rest(channel);
    return;
  }
  const taken = target.isSpecial && connection.server.takeSpecial(channel, message);
  // What the server takes itself needs no room: who only asks is never held back.
  if (!connection.publishing && !taken) connection.startPublishing();
  const resolved = session.resolve(route, message);
  searched ||= resolved !== route;
  route = resolved;
  if (route.unroutable && target.mandatory && !taken) connection.returnUnroutable(channel, message);
  const batch = connection.batch ?? connection.beginBatch();
  const item = batch.items;
  session.publish(batch, route, message);
  if (route.deadLettersRefused) connection.token.keep(connection.broker, item, route, message);
  if (channel.confirming) connection.token.cover(channel, ++channel.published, batch.items > item ? item : -1);
  if (searched && session.vhost.routes.tookLong()) connection.frames.rest(channel);
}

/** ack := tag u64, multiple    nack := tag u64, multiple | requeue    reject := tag u64, requeue */
function settle(
  connection: Connection,
  channel: Channel,
  bytes: Buffer,
  view: DataView,
  start: number,
  next: number,
): void {
  const method = view.getUint32(start + frameHeadBytes);
  try {
    const at = start + methodHeadBytes;
    if (next - at !== 10) throw undecodable(bytes, at, next - 1);
    const tag = view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4);
    const bits = bytes[at + 8]!;
    const { session } = channel;
    let known: boolean;
    if (session.transaction !== null) known = settleInTransaction(session.transaction, method, tag, bits);
    else {
      const batch = connection.batch ?? connection.beginBatch();
      if (method === basicAck.id) known = session.ack(batch, tag, (bits & 1) !== 0);
      else if (method === basicNack.id) known = session.reject(batch, tag, (bits & 1) !== 0, (bits & 2) !== 0);
      else known = session.reject(batch, tag, false, (bits & 1) !== 0);
    }
    if (!known) throw new ChannelError('PRECONDITION_FAILED', `unknown delivery tag ${tag}`);
  } catch (error) {
    connection.methodFailed(channel, method, error);
  }
}

function tooLarge(connection: Connection, bytes: Buffer, at: number, size: number): ConnectionError {
  const text = `type ${bytes[at]!}, frame of ${size} bytes is larger than the ${connection.maxReceivedBytes} allowed`;
  return new ConnectionError('FRAME_ERROR', text, { lostSync: true });
}

function badFrameEnd(bytes: Buffer, at: number, next: number): ConnectionError {
  const text = `type ${bytes[at]!}, invalid frame end marker ${bytes[next - 1]!}`;
  return new ConnectionError('FRAME_ERROR', text, { lostSync: true });
}
