/** Message bytes that are known from two numbers, so a body can be judged without having been kept. */
import type { GroupKeys, MessageView } from '../../src/engine/engine.ts';
import { Random } from './random.ts';

const noise = Buffer.alloc(1 << 18);
const random = new Random(20260101);
for (let i = 0; i < noise.length; i += 4) noise.writeUInt32LE(random.uint32(), i);

export const mostBodyBytes = 1 << 17;

/** The body of a message, in nobody's buffer: do not change it. */
export function bodyOf(messageId: number, bytes: number): Buffer {
  const start = Math.imul(messageId, 97) & 0x1ffff;
  return noise.subarray(start, start + bytes);
}

const propertiesBytes = 12;
const outgoingBody = Buffer.alloc(mostBodyBytes + 8);

/** A view whose buffers are reused for each message: an engine that keeps them without copying delivers wrong bytes. */
export class OutgoingMessage implements MessageView {
  head = Buffer.alloc(propertiesBytes);
  envelopeStart = 0;
  envelopeEnd = 0;
  propertiesStart = 0;
  propertiesEnd = propertiesBytes;
  body = outgoingBody;
  bodyStart = 0;
  bodyEnd = 0;
  expiresAt = 0;
  priority = 0;
  dueAt = 0;
  identity: MessageView['identity'] = null;

  fill(appendId: number, messageId: number, bodyBytes: number): void {
    this.head.writeUInt32LE(appendId, 0);
    this.head.writeUInt32LE(messageId, 4);
    this.head.writeUInt32LE(bodyBytes, 8);
    this.bodyStart = messageId % 7;
    this.bodyEnd = this.bodyStart + bodyBytes;
    bodyOf(messageId, bodyBytes).copy(this.body, this.bodyStart);
    this.expiresAt = 0;
    this.priority = 0;
    this.dueAt = 0;
    this.identity = null;
  }
}

/** Messages of grouped queues have one of three keys, or none (0). */
export const groupOf = (messageId: number): number => messageId % 4;

export const groupKeys: GroupKeys = {
  reader: () => (properties, start) => groupOf(properties.readUInt32LE(start + 4)),
};

export interface Received {
  readonly appendId: number;
  readonly messageId: number;
  readonly bodyBytes: number;
}

/** What properties say, or null where they are none of ours; the body is compared by `bodyIsRight`. */
export function parseProperties(properties: Buffer): Received | null {
  if (properties.length !== propertiesBytes) return null;
  return {
    appendId: properties.readUInt32LE(0),
    messageId: properties.readUInt32LE(4),
    bodyBytes: properties.readUInt32LE(8),
  };
}

export function bodyIsRight(received: Received, body: Buffer): boolean {
  return body.length === received.bodyBytes && bodyOf(received.messageId, received.bodyBytes).equals(body);
}
