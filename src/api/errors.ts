/** Every error of the API: a closed union of codes; docs/ERRORS.md has cause and remedy of each. */
export type ErrorCode =
  // What was asked for can't be.
  /** The URL of `connect` can't be used. */
  | 'INVALID_URL'
  /** An unknown option, or a value that it can't have. */
  | 'INVALID_OPTION'
  /** A queue, topic or subscription can't have that name. */
  | 'INVALID_NAME'
  /** The payload can't be encoded. */
  | 'INVALID_PAYLOAD'
  /** The payload is not what the schema says. */
  | 'SCHEMA_MISMATCH'
  /** The engine or broker behind the URL can't do that. */
  | 'UNSUPPORTED'
  // What stands in the way of it.
  /** There is no such queue. */
  | 'QUEUE_NOT_FOUND'
  /** The queue exists with other settings. */
  | 'QUEUE_DIFFERS'
  /** Somebody else uses the queue exclusively. */
  | 'QUEUE_LOCKED'
  /** User or permissions do not allow it. */
  | 'ACCESS_REFUSED'
  // What became of a message.
  /** The queue is at its length limit and refuses more. */
  | 'QUEUE_FULL'
  /** The message is larger than the limit. */
  | 'TOO_LARGE'
  /** No queue took the message. */
  | 'UNROUTABLE'
  /** The broker refused the message. */
  | 'REFUSED'
  /** Whether the message is stored is not known: the connection or the engine failed before the answer. */
  | 'UNKNOWN_OUTCOME'
  /** The delivery was acknowledged, retried or dead-lettered before. */
  | 'ALREADY_SETTLED'
  /** The delivery is no longer held: its connection died, and the message will come again. */
  | 'DELIVERY_LOST'
  // Requests and handlers.
  /** No answer in time. */
  | 'TIMEOUT'
  /** The handler of a request failed; the message is its own. */
  | 'REQUEST_FAILED'
  /** An `AbortSignal` ended it. */
  | 'ABORTED'
  // The connection and the store.
  /** It was closed. */
  | 'CLOSED'
  /** The broker can't be reached. */
  | 'UNREACHABLE'
  /** The engine failed: nothing more is confirmed. */
  | 'ENGINE_FAILED'
  /** Another process has the data directory open. */
  | 'DATA_LOCKED'
  /** The directory holds something else. */
  | 'DATA_FOREIGN'
  /** The data was written by a newer version. */
  | 'DATA_NEWER'
  /** The data is damaged where it can't be passed over. */
  | 'DATA_CORRUPT'
  /** The data directory can't be created, read or written. */
  | 'DATA_UNWRITABLE'
  /** A defect of Postrider: please report it. */
  | 'INTERNAL';

/**
 * What everything here throws or rejects with. The message says what, where and what to do; `cause` is what lay behind it, where there is
 * something.
 */
export class PostriderError extends Error {
  /** For programs. docs/ERRORS.md has cause and remedy of each. */
  readonly code: ErrorCode;
  /** Of a `redrive()` that did not come to its end: messages that it had sent back by then. */
  readonly moved?: number;

  /** @internal */
  constructor(code: ErrorCode, message: string, options: { cause?: unknown; moved?: number } = {}) {
    const { moved, ...because } = options;
    super(message, because);
    this.name = 'PostriderError';
    this.code = code;
    if (moved !== undefined) this.moved = moved;
  }
}

/** What somebody threw, as an error: handlers may throw anything. */
export function asError(thrown: unknown): Error {
  if (isError(thrown)) return thrown;
  return new Error(typeof thrown === 'string' ? thrown : `a value was thrown that is no error: ${describe(thrown)}`, {
    cause: thrown,
  });
}

/** What is thrown may be as strange as anything: a proxy that throws when it is looked at. */
function isError(thrown: unknown): thrown is Error {
  try {
    return thrown instanceof Error && typeof thrown.message === 'string';
  } catch {
    return false;
  }
}

function describe(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return typeof value;
  }
}

export function closedError(what: string): PostriderError {
  return new PostriderError('CLOSED', `${what} is closed; connect again for more`);
}
