/** Hot path: PUBLISH from a client. */
import { emptyMessage, type Route } from '../../broker/index.ts';
import { packetType, type ProtocolVersion } from '../../wire/mqtt/packet-type.ts';
import { PublishView } from '../../wire/mqtt/publish-view.ts';
import { reasonCode } from '../../wire/mqtt/reason-code.ts';
import { answerOf, noItem } from './acknowledgements.ts';
import type { Connection } from './connection.ts';
import { StoredProperties } from './stored-properties.ts';

const view = new PublishView();
const stored = new StoredProperties();

/** Filled again for each message: whoever gets it copies what it keeps. */
const message = emptyMessage();

/** @throws MqttError, BrokerError */
export function publish(connection: Connection, bytes: Buffer, first: number, start: number, end: number): void {
  const version = connection.version as ProtocolVersion;
  view.readUnchecked(bytes, first, start, end, version);
  const { qos, packetId } = view;
  connection.server.traffic.messagesReceived++;
  const session = connection.publishingSession;
  if (qos > 0) {
    if (qos === 2 && connection.session.packets.received.has(packetId)) {
      connection.answer(packetType.pubrec, packetId, noItem, reasonCode.success);
      return;
    }
    connection.countInFlight();
  }
  const { target } = connection;
  const { properties } = view;
  if (version === 5 && properties.topicAlias > 0) {
    const { aliases } = connection;
    aliases.resolve(view, bytes);
    target.take(view, aliases.bytes, aliases.start, aliases.end, session);
  } else target.take(view, bytes, view.topicStart, view.topicEnd, session);
  if (target.route === null) {
    connection.publishNotAllowed(qos, packetId, target.refusal);
    return;
  }
  const refusal = stored.write(qos, view.retain, version === 5 ? properties : null, bytes, target.carried);
  if (refusal !== null) {
    connection.publishTooLarge(qos, packetId, refusal);
    return;
  }
  message.head = stored.bytes;
  message.propertiesStart = stored.start;
  message.propertiesEnd = stored.end;
  message.body = bytes;
  message.bodyStart = view.payloadStart;
  message.bodyEnd = end;
  message.dueAt = 0;
  publishMessage(connection, session.resolve(target.route, message));
}

function publishMessage(connection: Connection, route: Route): void {
  const { publishingSession: session, target } = connection;
  const { qos, packetId, retain } = view;
  if (qos === 2) connection.session.packets.receive(packetId);
  if (route.targets === null && !retain) {
    const isMatched = session.publishLive(route, message);
    if (qos === 0) return;
    const reason = isMatched ? reasonCode.success : reasonCode.noMatchingSubscribers;
    connection.answer(answerOf(qos), packetId, noItem, reason);
    return;
  }
  const batch = connection.batch ?? connection.beginBatch();
  // A crash must not leave the message without its id, nor the id without its message.
  if (qos === 2) batch.together();
  const item = batch.items;
  if (retain && !connection.retain(batch, target.topic, message)) {
    if (qos === 2) connection.session.packets.forget(packetId);
    connection.publishTooLarge(qos, packetId, 'there is no room for more retained messages');
    return;
  }
  const first = batch.items;
  const isMatched = session.publish(batch, route, message);
  if (route.deadLettersRefused) connection.acknowledgements.keep(connection.broker, first, route, message);
  if (qos === 0) return;
  const reason = isMatched ? reasonCode.success : reasonCode.noMatchingSubscribers;
  connection.answer(answerOf(qos), packetId, batch.items > item ? batch.items - 1 : noItem, reason);
}
