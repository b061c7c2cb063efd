import type { DeliveryView, MessageView } from '../../broker/index.ts';
import { basicGetOk, basicReturn } from '../../wire/amqp/basic-methods.ts';
import { noRoute } from '../../wire/amqp/protocol.ts';
import type { Channel } from './channel.ts';
import { writeLargeContent } from './message-frames.ts';

/** The answer to basic.get. The envelope is exchange and routing key as two short strings. */
export function writeGetOk(channel: Channel, deliveryTag: number, delivery: DeliveryView, messageCount: number): void {
  const { head, envelopeStart } = delivery;
  const keyAt = envelopeStart + 1 + head[envelopeStart]!;
  const exchange = head.toString('utf8', envelopeStart + 1, keyAt);
  const routingKey = head.toString('utf8', keyAt + 1, delivery.envelopeEnd);
  const args = { deliveryTag, redelivered: delivery.redelivered, exchange, routingKey, messageCount };
  writeWithContent(channel, basicGetOk.frame(channel.number, args), delivery);
}

/** As what a message was published. */
export interface Address {
  readonly exchange: string;
  readonly routingKey: string;
}

/** A mandatory message that found no queue goes back, before it is confirmed. */
export function writeReturn(channel: Channel, message: MessageView, address: Address): void {
  const { exchange, routingKey } = address;
  const args = { replyCode: noRoute.code, replyText: noRoute.text, exchange, routingKey };
  writeWithContent(channel, basicReturn.frame(channel.number, args), message);
}

/** A method and its message. */
export function writeWithContent(channel: Channel, frame: Buffer, message: MessageView): void {
  const { output, maxPayloadBytes } = channel.connection;
  channel.connection.checkHeaderFits(message);
  output.writeFrame(frame);
  writeLargeContent(output, channel.number, message, maxPayloadBytes);
}
