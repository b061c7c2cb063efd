import type { BasicProperties } from '../format/basic-properties.ts';
import { PostriderError } from './errors.ts';
import { checkedHeaders } from './header-check.ts';
import type { Headers } from './message.ts';
import { unmarkedHeaders } from './message-headers.ts';
import { checkOptions, type Checks, integer, milliseconds, object, signal, text } from './option-check.ts';
import { turnTime } from './turn-time.ts';

/** What may be said of a message when it is published. */
export interface PublishOptions {
  /** Of the publisher's choice, for logs and for recognising repeats. */
  readonly id?: string;
  /**
   * Whatever consumers should know beside the payload. Names that begin with `x-` are the broker's: those with which attempts and dead
   * letters are marked are left out, so that another message's headers can be handed on.
   */
  readonly headers?: Headers;
  /** 0 to 255; only queues with `priorities` look at it. */
  readonly priority?: number;
  /** Not delivered before so many milliseconds have passed. */
  readonly delayMs?: number;
  /** Not delivered once so many milliseconds have passed; then it goes to the dead-letter queue. What was delivered in time is tried again whenever that is. */
  readonly expiresMs?: number;
  /** What an answer should carry, so that it is known whose it is. `request()` does this by itself. */
  readonly correlationId?: string;
  /** The name of the queue for answers. */
  readonly replyTo?: string;
  /**
   * Gives up. A message that still waits then (for a schema, a connection, or space on the disk) is never stored; one that was on its
   * way may be.
   */
  readonly signal?: AbortSignal;
}

export const publishChecks: Checks<PublishOptions> = {
  id: text,
  headers: object,
  priority: integer(0, 255),
  delayMs: milliseconds(0),
  expiresMs: milliseconds(0),
  correlationId: text,
  replyTo: text,
  signal,
};

const persistent = 2;
let plain: BasicProperties = { contentType: '', timestamp: 0 };

/** Hot. Of messages that say nothing but what they are: one object for all of a second, so that it is encoded once. */
export function plainProperties(contentType: string): BasicProperties {
  const timestamp = Math.floor(turnTime() / 1000);
  if (plain.timestamp !== timestamp || plain.contentType !== contentType) {
    plain = Object.freeze({ contentType, deliveryMode: persistent, timestamp });
  }
  return plain;
}

/** @throws PostriderError INVALID_OPTION */
export function publishProperties(where: string, contentType: string, options: PublishOptions): BasicProperties {
  checkOptions(where, options, publishChecks);
  const timestamp = Math.floor(Date.now() / 1000);
  const properties: BasicProperties = { contentType, deliveryMode: persistent, timestamp };
  const { id, headers, priority, expiresMs, correlationId, replyTo } = options;
  if (headers !== undefined) properties.headers = unmarkedHeaders(checkedHeaders(where, headers));
  if (priority !== undefined) properties.priority = priority;
  if (correlationId !== undefined) properties.correlationId = short(where, 'correlationId', correlationId);
  if (replyTo !== undefined) properties.replyTo = short(where, 'replyTo', replyTo);
  if (expiresMs !== undefined) properties.expiration = String(expiresMs);
  if (id !== undefined) properties.messageId = short(where, 'id', id);
  return properties;
}

function short(where: string, name: string, value: string): string {
  const bytes = Buffer.byteLength(value);
  if (bytes <= 255) return value;
  throw new PostriderError('INVALID_OPTION', `${where}: ${name} may have 255 bytes, and this has ${bytes}`);
}
