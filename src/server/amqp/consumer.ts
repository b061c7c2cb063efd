/**
 * Hot path: one consumer of a channel, which writes each delivery out as it is stored.
 *
 *   basic.deliver := consumer-tag shortstr, delivery-tag u64, redelivered u8, exchange shortstr, routing-key shortstr
 *
 * All but tag and flag is equal for messages of one consumer and one envelope, so the frame is kept as a template.
 */
import { LARGE_BODY_BYTES, type ConsumerSink, type DeliveryView, type SessionConsumer } from '../../broker/index.ts';
import { copyShort, copyBytes } from '../../format/copy.ts';
import { basicCancel, basicDeliver } from '../../wire/amqp/basic-methods.ts';
import { frameEnd, frameHeadBytes, frameType } from '../../wire/amqp/protocol.ts';
import type { Channel } from './channel.ts';
import type { Connection } from './connection.ts';
import { contentBytes, smallMessageBytes, writeLargeContent, writeSmallContent } from './message-frames.ts';
import type { Waiting } from '../socket/output-budget.ts';
import type { Output } from '../socket/output.ts';

/** Delivery tag and redelivered flag. */
const tagBytes = 9;

export class Consumer implements ConsumerSink {
  readonly tag: string;
  /** Set once the broker has it; nothing is delivered before. */
  registered: SessionConsumer | null = null;
  /** `deliver` answered false and nobody resumed it yet. */
  stopped = false;

  readonly #channel: Channel;
  readonly #output: Output;
  readonly #number: number;
  #template: Buffer;
  #templateView: DataView;
  #templateBytes = 0;
  /** Where the delivery tag lies in the template. */
  readonly #tagAt: number;
  #envelopeId = -1;
  /** Of large messages that come once that they were taken is durable: room that it has among all. */
  #promised = 0;
  /** For room among all. */
  #waiting: Waiting | null = null;

  constructor(channel: Channel, tag: string) {
    this.tag = tag;
    this.#channel = channel;
    this.#number = channel.number;
    this.#output = channel.connection.output;
    const consumerTag = Buffer.from(tag);
    this.#tagAt = frameHeadBytes + 4 + 1 + consumerTag.length;
    this.#template = Buffer.alloc(this.#tagAt + tagBytes + 48);
    this.#templateView = viewOver(this.#template);
    this.#template[0] = frameType.method;
    this.#templateView.setUint16(1, this.#number);
    this.#templateView.setUint32(frameHeadBytes, basicDeliver.id);
    this.#template[frameHeadBytes + 4] = consumerTag.length;
    this.#template.set(consumerTag, frameHeadBytes + 5);
  }

  deliver(tag: number, delivery: DeliveryView): boolean {
    if (delivery.envelopeId !== this.#envelopeId) this.#take(delivery);
    const output = this.#output;
    const templateBytes = this.#templateBytes;
    const content = contentBytes(delivery);
    const small = templateBytes + content <= smallMessageBytes;
    output.reserve(small ? templateBytes + content : templateBytes);
    const { bytes, view, at } = output;
    const end = this.#writeTemplate(bytes, view, at);
    const tagAt = at + this.#tagAt;
    view.setUint32(tagAt, tag > 0xffff_ffff ? Math.floor(tag / 0x1_0000_0000) : 0);
    view.setUint32(tagAt + 4, tag >>> 0);
    bytes[tagAt + 8] = delivery.redelivered ? 1 : 0;
    if (small) {
      output.at = writeSmallContent(bytes, view, end, this.#number, delivery);
    } else {
      output.at = end;
      if (this.#promised > 0) this.#keepPromise(delivery.bodyEnd - delivery.bodyStart);
      this.#channel.connection.checkHeaderFits(delivery);
      writeLargeContent(output, this.#number, delivery, this.#channel.connection.maxPayloadBytes);
    }
    const { connection } = this.#channel;
    if (output.unsent < output.limit) return true;
    this.stopped = true;
    connection.stopped.push(this);
    pauseOthers(connection);
    return false;
  }

  hasRoom(bodyBytes: number): boolean {
    const { outputBudget } = this.#channel.connection.server;
    if (outputBudget.hasRoom(bodyBytes)) {
      outputBudget.promise(bodyBytes);
      this.#promised += bodyBytes;
      return true;
    }
    this.stopped = true;
    this.#waiting = { bytes: bodyBytes, proceed: () => this.#proceed() };
    outputBudget.wait(this.#waiting);
    return false;
  }

  /** Another consumer has filled the output. */
  pause(): void {
    if (this.stopped || this.registered === null) return;
    this.stopped = true;
    this.#channel.connection.stopped.push(this);
    this.registered.pause();
  }

  /** The channel has it no more. */
  gone(): void {
    const { outputBudget } = this.#channel.connection.server;
    if (this.#waiting !== null) outputBudget.forget(this.#waiting);
    if (this.#promised > 0) outputBudget.keep(this.#promised);
    this.#waiting = null;
    this.#promised = 0;
  }

  cancelled(): void {
    this.#channel.forget(this.tag);
    const { cancelledByDelete } = this.#channel;
    if (cancelledByDelete === null) this.tellCancelled();
    else cancelledByDelete.push(this);
  }

  tellCancelled(): void {
    const { connection } = this.#channel;
    if (this.#channel.open && connection.client.consumerCancelNotify) {
      connection.output.writeFrame(basicCancel.frame(this.#number, { consumerTag: this.tag, noWait: true }));
    }
  }

  resume(): void {
    this.stopped = false;
    if (this.#channel.open) this.registered?.resume();
  }

  /** There is room among all; perhaps not in this output. */
  #proceed(): void {
    this.#waiting = null;
    const { connection } = this.#channel;
    if (connection.output.unsent >= connection.output.limit) connection.stopped.push(this);
    else connection.resume(this);
  }

  #keepPromise(bodyBytes: number): void {
    if (bodyBytes <= LARGE_BODY_BYTES) return;
    const kept = Math.min(bodyBytes, this.#promised);
    this.#promised -= kept;
    this.#channel.connection.server.outputBudget.keep(kept);
  }

  #writeTemplate(bytes: Buffer, view: DataView, at: number): number {
    const template = this.#template;
    if (this.#templateBytes > 200) return copyBytes(template, 0, this.#templateBytes, bytes, view, at);
    return copyShort(template, this.#templateView, 0, this.#templateBytes, bytes, view, at);
  }

  /** Makes the template that of this delivery's envelope, which is stored just as it stands in the frame. */
  #take(delivery: DeliveryView): void {
    const envelopeAt = this.#tagAt + tagBytes;
    const end = envelopeAt + delivery.envelopeEnd - delivery.envelopeStart;
    if (end + 1 > this.#template.length) {
      const grown = Buffer.alloc(end + 1);
      grown.set(this.#template.subarray(0, envelopeAt));
      this.#template = grown;
      this.#templateView = viewOver(grown);
    }
    copyBytes(
      delivery.head,
      delivery.envelopeStart,
      delivery.envelopeEnd,
      this.#template,
      this.#templateView,
      envelopeAt,
    );
    this.#template[end] = frameEnd;
    this.#templateView.setUint32(3, end - frameHeadBytes);
    this.#templateBytes = end + 1;
    this.#envelopeId = delivery.envelopeId;
  }
}

/** Each would else put one message more on top, of any size. */
function pauseOthers(connection: Connection): void {
  for (const channel of connection.channels.all()) {
    for (const consumer of channel.consumers.values()) consumer.pause();
  }
}

function viewOver(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
