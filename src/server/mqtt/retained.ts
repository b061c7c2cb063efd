/** What is retained, for whoever has subscribed. */
import type { Subscription } from '../../broker/index.ts';
import type { Connection } from './connection.ts';
import { qosOf } from './subscription-options.ts';

/**
 * Sends what is retained for a subscription that is new, or made again. What is to be acknowledged goes through the session's mailbox, so
 * that it is kept, bounded and sent again like any other message.
 */
export function sendRetained(connection: Connection, subscription: Subscription): void {
  const { agreed, session, deliveries } = connection;
  const { retained, subscribers } = agreed.vhost;
  for (const { topic, qos, message } of retained.matching(subscription.filter)) {
    if (Math.min(qos, qosOf(subscription.options)) === 0) deliveries.takeRetained(message, topic, subscription);
    else subscribers.deposit(connection.batch ?? connection.beginBatch(), session.subscriber, topic, message);
  }
  connection.commitBatch();
}
