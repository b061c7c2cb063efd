/** SUBSCRIBE and UNSUBSCRIBE, and what is retained for whom has subscribed. */
import { BrokerError, type Subscribed, type SubscriptionRequest } from '../../broker/index.ts';
import { MqttError } from '../../wire/mqtt/mqtt-error.ts';
import type { ProtocolVersion } from '../../wire/mqtt/packet-type.ts';
import { reasonCode, type ReasonCode } from '../../wire/mqtt/reason-code.ts';
import { encodeSuback, encodeUnsuback } from '../../wire/mqtt/server-packets.ts';
import type {
  SubscribePacket,
  SubscriptionRequest as Asked,
  UnsubscribePacket,
} from '../../wire/mqtt/subscribe-packet.ts';
import { parseSharedFilter } from '../../wire/mqtt/topic.ts';
import type { Connection } from './connection.ts';
import { RetainedSender } from './retained.ts';
import { optionsOf, qosOf, retainHandling, retainHandlingOf } from './subscription-options.ts';

export function subscribe(
  connection: Connection,
  { packetId, subscriptionIdentifier, subscriptions }: SubscribePacket,
): void {
  const { session, agreed } = connection;
  const { vhost, principal } = agreed;
  for (const { filter } of subscriptions) checkLength(filter, connection.settings.maxTopicBytes);
  const requests = subscriptions.map((asked) => requestOf(asked, subscriptionIdentifier));
  const subscribed = vhost.subscribers.subscribe(principal, session.subscriber, requests);
  // The subscriptions are there, so what this client publishes right behind finds them.
  session.subscriber.sink = connection.deliveries;
  subscribed
    .then((outcomes) => {
      if (!connection.isRunning) return;
      const reasons = outcomes.map((outcome) => grantOf(connection, outcome));
      const refused = outcomes.find((outcome) => outcome instanceof BrokerError);
      const explanation = refused instanceof BrokerError ? { reasonString: refused.message } : {};
      const packet = encodeSuback(connection.recipient, packetId, reasons, explanation);
      if (packet !== null) connection.output.writeFrame(packet);
      connection.deliveries.follow(outcomes.flatMap((each) => (each instanceof BrokerError ? [] : each.subscription)));
      for (const [i, outcome] of outcomes.entries()) {
        if (outcome instanceof BrokerError) {
          connection.log(`may not subscribe to ${JSON.stringify(requests[i]!.filter)}: ${outcome.message}`);
          continue;
        }
        const { subscription, isNew } = outcome;
        // Not for shared ones (5.0 §4.8.2).
        if (subscription.share !== null) continue;
        const handling = retainHandlingOf(subscription.options);
        if (handling === retainHandling.always || (handling === retainHandling.ifNew && isNew)) {
          session.retained ??= new RetainedSender(connection.server, session);
          session.retained.send(subscription);
        }
      }
    })
    .catch((error: unknown) => connection.ending.fail(error));
}

export function unsubscribe(connection: Connection, { packetId, filters }: UnsubscribePacket): void {
  const { session, agreed } = connection;
  const addresses = filters.map((filter) => {
    const shared = sharedOf(filter);
    return shared === null ? { filter, share: null } : { filter: shared.filter, share: shared.name };
  });
  agreed.vhost.subscribers
    .unsubscribe(session.subscriber, addresses)
    .then((found) => {
      if (!connection.isRunning) return;
      const reasons = found.map((was) => (was ? reasonCode.success : reasonCode.noSubscriptionExisted));
      connection.deliveries.follow();
      const packet = encodeUnsuback(connection.recipient, packetId, reasons);
      if (packet !== null) connection.output.writeFrame(packet);
    })
    .catch((error: unknown) => connection.ending.fail(error));
}

function checkLength(filter: string, maxBytes: number): void {
  // A character has three bytes at most in UTF-8 for each unit of UTF-16.
  if (filter.length * 3 <= maxBytes || Buffer.byteLength(filter) <= maxBytes) return;
  throw new MqttError(reasonCode.topicFilterInvalid, `a topic filter has more than ${maxBytes} bytes`);
}

function requestOf(asked: Asked, identifier: number): SubscriptionRequest {
  const { shared, filter, qos, noLocal } = asked;
  return {
    filter: shared === null ? filter : shared.filter,
    share: shared === null ? null : shared.name,
    queued: qos > 0 || shared !== null,
    noLocal,
    options: optionsOf(asked),
    identifier,
  };
}

function grantOf({ version }: { readonly version: number }, outcome: Subscribed): ReasonCode {
  if (!(outcome instanceof BrokerError)) return qosOf(outcome.subscription.options);
  // 3.1.1 has one refusal.
  if ((version as ProtocolVersion) < 5) return reasonCode.unspecifiedError;
  switch (outcome.code) {
    // Eclipse Paho's suite for 5.0 knows no other refusal than 0x80, and a reason string says that it is about permission.
    case 'ACCESS_REFUSED':
      return reasonCode.unspecifiedError;
    case 'COMMAND_INVALID':
      return reasonCode.topicFilterInvalid;
    case 'PRECONDITION_FAILED':
      return reasonCode.quotaExceeded;
    default:
      return reasonCode.implementationSpecificError;
  }
}

/** One that can't be is only a subscription that isn't there. */
function sharedOf(filter: string): { readonly name: string; readonly filter: string } | null {
  try {
    return parseSharedFilter(filter);
  } catch {
    return null;
  }
}
