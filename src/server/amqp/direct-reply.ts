/**
 * RabbitMQ's direct reply-to: a client consumes from the pseudo-queue `amq.rabbitmq.reply-to`; `reply-to` of what it publishes
 * becomes an address of its own, and what is published to that address goes straight to its channel, past every queue: at most once.
 */
import { randomBytes } from 'node:crypto';
import { LARGE_BODY_BYTES, type MessageView } from '../../broker/index.ts';
import { readStringProperty, rewriteProperties } from '../../format/basic-properties.ts';
import { ChannelError } from '../../wire/amqp/amqp-error.ts';
import { basicDeliver } from '../../wire/amqp/basic-methods.ts';
import type { Channel } from './channel.ts';
import { writeWithContent } from './answers.ts';
import { replyToPrefix, replyToQueue } from './reply-to.ts';

interface ReplyConsumer {
  readonly channel: Channel;
  readonly consumerTag: string;
}

/** Who waits for replies, by address. */
export class DirectReplies {
  readonly #consumers = new Map<string, ReplyConsumer>();

  /** @throws ChannelError PRECONDITION_FAILED */
  consume(channel: Channel, consumerTag: string, noAck: boolean): void {
    if (!noAck) throw new ChannelError('PRECONDITION_FAILED', 'reply consumer cannot acknowledge');
    if (channel.replyAddress !== null) throw new ChannelError('PRECONDITION_FAILED', 'reply consumer already set');
    const address = replyToPrefix + randomBytes(18).toString('base64url');
    this.#consumers.set(address, { channel, consumerTag });
    channel.replyAddress = address;
  }

  /** True: that was the channel's reply consumer, and it is gone. */
  cancel(channel: Channel, consumerTag: string): boolean {
    if (channel.replyAddress === null) return false;
    if (this.#consumers.get(channel.replyAddress)?.consumerTag !== consumerTag) return false;
    this.forget(channel);
    return true;
  }

  forget(channel: Channel): void {
    if (channel.replyAddress !== null) this.#consumers.delete(channel.replyAddress);
    channel.replyAddress = null;
  }

  has(address: string): boolean {
    return this.#consumers.has(address);
  }

  /** Puts the address of the channel's own consumer where the message asks for it. @throws ChannelError PRECONDITION_FAILED */
  address(channel: Channel, message: MessageView): void {
    const { head, propertiesStart, propertiesEnd } = message;
    if (readStringProperty(head, propertiesStart, propertiesEnd, 'replyTo') !== replyToQueue) return;
    if (channel.replyAddress === null) {
      throw new ChannelError('PRECONDITION_FAILED', 'fast reply consumer does not exist');
    }
    const envelope = head.subarray(message.envelopeStart, message.envelopeEnd);
    const properties = rewriteProperties(head, propertiesStart, propertiesEnd, { replyTo: channel.replyAddress });
    message.head = Buffer.concat([envelope, properties]);
    message.envelopeStart = 0;
    message.envelopeEnd = envelope.length;
    message.propertiesStart = envelope.length;
    message.propertiesEnd = message.head.length;
  }

  /** False: nobody waits there. A client that does not read its replies loses them; so does one whose large reply has no room among all. */
  deliver(address: string, message: MessageView): boolean {
    const consumer = this.#consumers.get(address);
    if (consumer === undefined) return false;
    const { channel, consumerTag } = consumer;
    const { connection } = channel;
    const { output } = connection;
    if (output.unsent > 2 * output.limit) return true;
    const bodyBytes = message.bodyEnd - message.bodyStart;
    if (bodyBytes > LARGE_BODY_BYTES && !connection.server.outputBudget.hasRoom(bodyBytes)) return true;
    const deliveryTag = channel.session.ledger.skip();
    const args = { consumerTag, deliveryTag, redelivered: false, exchange: '', routingKey: address };
    writeWithContent(channel, basicDeliver.frame(channel.number, args), message);
    return true;
  }
}
