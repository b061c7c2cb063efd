import type { Session } from '../../broker/index.ts';
import { basicAck, basicNack } from '../../wire/amqp/basic-methods.ts';
import { frameEnd, frameHeadBytes, frameType } from '../../wire/amqp/protocol.ts';
import type { Connection } from './connection.ts';
import type { Consumer } from './consumer.ts';
import { KeptFrames } from './kept-frames.ts';
import { PartialContent } from './partial-content.ts';
import { PublishTarget } from './publish-target.ts';

const ackFrameBytes = 21;

/**
 * A channel of a connection.
 *
 *   open -> closing (an error was sent; everything but close-ok is ignored) -> gone
 *   open -> gone (the client closed it, or its connection ended)
 *
 * While a method waits for the broker (`waiting`), later frames of this channel are kept in order; other channels go on. While only
 * methods wait that may overlap (`answered` is the answer to the last of them), more of their kind begin.
 */
export class Channel {
  readonly number: number;
  readonly connection: Connection;
  readonly session: Session;
  state: 'open' | 'closing' | 'gone' = 'open';
  waiting = false;
  /** Resolves when the last of the overlapping methods that wait was answered; null: none waits. */
  answered: Promise<void> | null = null;
  /** Methods that wait. */
  unanswered = 0;
  /** Hot: a method frame may be handled at once, without looking at the rest of this. */
  ready = true;

  readonly target = new PublishTarget();
  readonly content: PartialContent;
  readonly kept = new KeptFrames();
  readonly consumers = new Map<string, Consumer>();
  /** Of its direct reply-to consumer. */
  replyAddress: string | null = null;
  /** The queue that an empty name stands for (0-9-1 queue.declare). */
  lastQueue = '';
  /** Consumers that are to be told that they were cancelled once queue.delete is answered; null: none is under way. */
  cancelledByDelete: Consumer[] | null = null;

  /** The client asked for confirms: publishes are numbered from 1. */
  confirming = false;
  published = 0;
  /** Everything up to here was acked or nacked. */
  #confirmedTo = 0;

  constructor(connection: Connection, number: number, session: Session) {
    this.connection = connection;
    this.number = number;
    this.session = session;
    this.content = new PartialContent(connection.budget);
  }

  get open(): boolean {
    return this.state === 'open';
  }

  /** The state that decides whether frames can be handled at once has changed. */
  settleReady(): void {
    this.ready = this.state === 'open' && !this.waiting && this.content.expects === 'method';
  }

  /** Everything published up to `sequence` is on disk. */
  confirm(sequence: number): void {
    if (sequence <= this.#confirmedTo || this.state !== 'open') return;
    // One by itself is told as one: there are clients that count only those.
    this.#writeAck(sequence, sequence - this.#confirmedTo > 1);
    this.#confirmedTo = sequence;
  }

  /** What was published before is on disk, `sequence` was refused. */
  refuse(sequence: number): void {
    if (this.state !== 'open' || !this.confirming) return;
    this.confirm(sequence - 1);
    const frame = basicNack.frame(this.number, { deliveryTag: sequence, multiple: false, requeue: false });
    this.connection.output.writeFrame(frame);
    this.#confirmedTo = sequence;
  }

  /** Its consumer with this tag is gone. */
  forget(consumerTag: string): void {
    this.consumers.get(consumerTag)?.gone();
    this.consumers.delete(consumerTag);
  }

  /** Gives back what the session holds. The channel answers nothing any more. */
  async end(state: 'closing' | 'gone'): Promise<void> {
    const wasOpen = this.state === 'open';
    this.state = state;
    this.ready = false;
    this.content.reset();
    if (state === 'gone') this.kept.drop(this.kept.end);
    for (const consumer of this.consumers.values()) consumer.gone();
    this.consumers.clear();
    this.connection.server.replies.forget(this);
    if (wasOpen) await this.session.close();
  }

  #writeAck(sequence: number, multiple: boolean): void {
    const { output } = this.connection;
    output.reserve(ackFrameBytes);
    const { bytes, view, at } = output;
    bytes[at] = frameType.method;
    view.setUint16(at + 1, this.number);
    view.setUint32(at + 3, ackFrameBytes - frameHeadBytes - 1);
    view.setUint32(at + 7, basicAck.id);
    view.setUint32(at + 11, sequence > 0xffff_ffff ? Math.floor(sequence / 0x1_0000_0000) : 0);
    view.setUint32(at + 15, sequence >>> 0);
    bytes[at + 19] = multiple ? 1 : 0;
    bytes[at + 20] = frameEnd;
    output.at = at + ackFrameBytes;
  }
}
