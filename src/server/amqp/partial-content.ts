/**
 * A message whose frames did not come in one read, or whose body takes several frames. Memory follows the bytes that came,
 * not the size that the header declares.
 */
import type { MessageView } from '../../broker/index.ts';
import { basicClass } from '../../wire/amqp/protocol.ts';
import { ChannelError, ConnectionError } from '../../wire/amqp/amqp-error.ts';
import { headerFixedBytes } from '../../wire/amqp/content.ts';

const firstBytes = 64 * 1024;

/** What one connection has of messages that are not whole. */
export interface PartialBudget {
  readonly maxMessageBytes: number;
  readonly maxPartialBytes: number;
  partialBytes: number;
}

export class PartialContent {
  /** What the channel must get next. */
  expects: 'method' | 'header' | 'body' = 'method';

  readonly #budget: PartialBudget;
  #properties = Buffer.alloc(0);
  #bodyBytes = 0;
  #body: Buffer = Buffer.alloc(0);
  #received = 0;
  /** Of the budget: properties, and the room for the body. */
  #held = 0;

  constructor(budget: PartialBudget) {
    this.#budget = budget;
  }

  begin(): void {
    this.expects = 'header';
  }

  /** True: the message is whole. @throws ChannelError, ConnectionError */
  header(bytes: Buffer, start: number, end: number, message: MessageView): boolean {
    if (end - start < headerFixedBytes + 2) throw new ConnectionError('FRAME_ERROR', 'a content header is too short');
    const headerClass = bytes.readUInt16BE(start);
    if (headerClass !== basicClass) {
      const text = `expected content header for class ${basicClass}, got one for class ${headerClass} instead`;
      throw new ConnectionError('UNEXPECTED_FRAME', text);
    }
    if (bytes.readUInt16BE(start + 2) !== 0) {
      const text = `expected content header for class ${basicClass}, got non content header frame instead`;
      throw new ConnectionError('UNEXPECTED_FRAME', text);
    }
    const bodyBytes = Number(bytes.readBigUInt64BE(start + 4));
    const { maxMessageBytes } = this.#budget;
    if (bodyBytes > maxMessageBytes) {
      const text = `message size ${bodyBytes} is larger than configured max size ${maxMessageBytes}`;
      throw new ChannelError('PRECONDITION_FAILED', text);
    }
    this.#hold(end - start - headerFixedBytes);
    this.#properties = Buffer.from(bytes.subarray(start + headerFixedBytes, end));
    this.#bodyBytes = bodyBytes;
    this.#received = 0;
    this.expects = 'body';
    return bodyBytes === 0 && this.#fill(message, this.#body, 0, 0);
  }

  /** True: the message is whole. @throws ConnectionError */
  body(bytes: Buffer, start: number, end: number, message: MessageView): boolean {
    const size = end - start;
    if (size > this.#bodyBytes - this.#received) {
      throw new ConnectionError('FRAME_ERROR', 'content body frame exceeds remaining content size');
    }
    if (size === this.#bodyBytes) return this.#fill(message, bytes, start, end);
    this.#grow(this.#received + size);
    bytes.copy(this.#body, this.#received, start, end);
    this.#received += size;
    return this.#received === this.#bodyBytes && this.#fill(message, this.#body, 0, this.#bodyBytes);
  }

  /** Forgets what came, once it was published or its channel is gone. */
  reset(): void {
    this.expects = 'method';
    this.#budget.partialBytes -= this.#held;
    this.#held = 0;
    this.#body = Buffer.alloc(0);
    this.#properties = Buffer.alloc(0);
  }

  #fill(message: MessageView, body: Buffer, bodyStart: number, bodyEnd: number): true {
    message.head = this.#properties;
    message.envelopeStart = 0;
    message.envelopeEnd = 0;
    message.propertiesStart = 0;
    message.propertiesEnd = this.#properties.length;
    message.body = body;
    message.bodyStart = bodyStart;
    message.bodyEnd = bodyEnd;
    return true;
  }

  #grow(needed: number): void {
    if (needed <= this.#body.length) return;
    const size = Math.min(this.#bodyBytes, Math.max(needed, this.#body.length * 2, firstBytes));
    this.#hold(size - this.#body.length);
    const grown = Buffer.allocUnsafe(size);
    this.#body.copy(grown, 0, 0, this.#received);
    this.#body = grown;
  }

  #hold(bytes: number): void {
    const { maxPartialBytes } = this.#budget;
    if (this.#budget.partialBytes + bytes > maxPartialBytes) {
      const text = `messages that are not whole hold more than ${maxPartialBytes} bytes on this connection`;
      throw new ConnectionError('RESOURCE_ERROR', text);
    }
    this.#budget.partialBytes += bytes;
    this.#held += bytes;
  }
}
