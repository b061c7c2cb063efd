/** Hot where transactions are used: what is published and settled on their channels. */
import type { MessageView, Route, Transaction } from '../../broker/index.ts';
import { basicAck, basicReject } from '../../wire/amqp/basic-methods.ts';
import { writeReturn, type Address } from './answers.ts';
import type { Channel } from './channel.ts';
import { replyToPrefix } from './reply-to.ts';

/** What is kept beside the bytes of a message that is sent, or sent back, once its transaction is durable. */
const entryBytes = 512;

/** Keeps the message, whose properties were checked. @throws BrokerError */
export function publishInTransaction(
  channel: Channel,
  transaction: Transaction,
  route: Route,
  message: MessageView,
): void {
  const { connection, session, target } = channel;
  if (!connection.publishing) connection.startPublishing();
  if (target.isSpecial && !target.routingKey.startsWith(replyToPrefix)) {
    // A question, and no message that anybody gets.
    if (connection.server.takeSpecial(channel, message)) return;
  }
  const resolved = session.resolve(route, message);
  if (resolved.unroutable && (target.isSpecial || target.mandatory)) {
    sendAfterwards(channel, transaction, message);
    return;
  }
  transaction.publish(resolved, message);
}

/** False: no such delivery is unacknowledged. `bits`: those of the method. */
export function settleInTransaction(transaction: Transaction, method: number, tag: number, bits: number): boolean {
  if (method === basicAck.id) return transaction.settle(tag, (bits & 1) !== 0, 'ack');
  if (method === basicReject.id) return transaction.settle(tag, false, (bits & 1) !== 0 ? 'requeue' : 'drop');
  return transaction.settle(tag, (bits & 1) !== 0, (bits & 2) !== 0 ? 'requeue' : 'drop');
}

/** To a client's direct reply-to address; or back, as it is mandatory and no queue gets it. */
function sendAfterwards(channel: Channel, transaction: Transaction, message: MessageView): void {
  const { exchange, routingKey, mandatory, isSpecial } = channel.target;
  const address: Address = { exchange, routingKey };
  const kept = copyOf(message);
  const { replies } = channel.connection.server;
  transaction.afterwards(kept.head.length + kept.body.length + entryBytes, () => {
    if (isSpecial && replies.deliver(routingKey, kept)) return;
    if (mandatory && channel.open) writeReturn(channel, kept, address);
  });
}

function copyOf(message: MessageView): MessageView {
  const { head, body } = message;
  return {
    ...message,
    head: Buffer.from(head.subarray(message.propertiesStart, message.propertiesEnd)),
    envelopeStart: 0,
    envelopeEnd: 0,
    propertiesStart: 0,
    propertiesEnd: message.propertiesEnd - message.propertiesStart,
    body: Buffer.from(body.subarray(message.bodyStart, message.bodyEnd)),
    bodyStart: 0,
    bodyEnd: message.bodyEnd - message.bodyStart,
  };
}
