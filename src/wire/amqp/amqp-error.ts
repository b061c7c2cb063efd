import { replies, type ReplyName } from './protocol.ts';

export type ChannelErrorName = 'ACCESS_REFUSED' | 'NOT_FOUND' | 'RESOURCE_LOCKED' | 'PRECONDITION_FAILED';
export type ConnectionErrorName = Exclude<ReplyName, 'NOT_FOUND' | 'RESOURCE_LOCKED' | 'PRECONDITION_FAILED'>;

/** The channel dies of it, its connection goes on. `message` is what stands behind the code's name. */
export class ChannelError extends Error {
  override readonly name = 'ChannelError';
  readonly reply: ChannelErrorName;

  constructor(reply: ChannelErrorName, message: string) {
    super(message);
    this.reply = reply;
  }
}

/** The connection dies of it. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
  readonly reply: ConnectionErrorName;
  /** The reader no longer knows where a frame begins: nothing more can be read. */
  readonly lostSync: boolean;

  constructor(reply: ConnectionErrorName, message: string, options: { lostSync?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.reply = reply;
    this.lostSync = options.lostSync ?? false;
  }
}

/** "NOT_FOUND - no queue 'x' in vhost '/'", cut as RabbitMQ does where a short string can't hold it. */
export function replyText(reply: ReplyName, message: string): string {
  const text = message === '' ? reply : `${reply} - ${message}`;
  if (Buffer.byteLength(text) <= 255) return text;
  // A character cut in half at the end would not be UTF-8.
  const kept = new TextDecoder().decode(Buffer.from(text).subarray(0, 252), { stream: true });
  return `${kept}...`;
}

export function replyCode(reply: ReplyName): number {
  return replies[reply];
}
