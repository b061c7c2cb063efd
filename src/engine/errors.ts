/** Errors of engines: a closed union of codes, each with a message that says what, where and what to do. */
export type EngineErrorCode =
  /** Another process has the directory open. */
  | 'LOCKED'
  /** The directory holds something that is not a Postrider journal. */
  | 'FOREIGN'
  /** Written by a newer version. */
  | 'NEWER'
  /** Bytes are damaged: file and range are named. */
  | 'CORRUPT'
  /** The directory can't be created, read or written. */
  | 'UNWRITABLE'
  /** A write or sync failed: the engine stopped. */
  | 'IO'
  /** The disk is full. */
  | 'FULL'
  /** This engine can't do that. */
  | 'UNSUPPORTED'
  /** The engine was closed, or it failed. */
  | 'CLOSED'
  /** No such queue (any more). */
  | 'NO_QUEUE'
  /** Somebody else changed the topology first. */
  | 'CONFLICT'
  /** The queue has consumers. */
  | 'IN_USE'
  /** The queue has messages. */
  | 'NOT_EMPTY'
  /** The store can't be reached. */
  | 'UNREACHABLE';

export class EngineError extends Error {
  readonly code: EngineErrorCode;

  constructor(code: EngineErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'EngineError';
    this.code = code;
  }
}
