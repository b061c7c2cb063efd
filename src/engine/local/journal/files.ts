/**
 * The seam through which the journal touches the disk; nothing else in the engine does. `disk-files.ts` is the real one;
 * the simulation has another, which loses, tears and reorders what was not synced, and fails any call.
 *
 * What is promised after a call is what POSIX promises, no more: bytes are durable once a sync of their file returned, a name
 * (created, renamed, removed) once its directory was synced. All paths are absolute or relative to the process.
 */
export type OpenMode =
  /** Must not exist. */
  | 'create'
  /** Must exist; read and write. */
  | 'update'
  /** Must exist; read only. */
  | 'read';

export interface FileHandle {
  readonly path: string;
  /** Reads up to `length` bytes; fewer only at the end of the file. */
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  /** Many short reads at once: up to `length` bytes from each position, into slots of `length` bytes one behind the other. Answers how many bytes each got. */
  readEach(into: Uint8Array, length: number, positions: readonly number[]): Promise<number[]>;
  /** Writes all of the bytes; durable only after `sync`. */
  write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<void>;
  /**
   * Hot path: writes `length` bytes at `position` and, with `sync`, makes them durable before `done`. One such call is under
   * way at a time a file. After an error nothing is known of the range.
   */
  append(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
    sync: boolean,
    done: (error: Error | null) => void,
  ): void;
  /** fdatasync: bytes and size. */
  sync(): Promise<void>;
  truncate(size: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

export interface DirectoryLock {
  release(): Promise<void>;
}

export interface Files {
  /** Creates the directory and its parents where absent. */
  makeDirectory(path: string): Promise<void>;
  /** File names (not paths) in the directory. */
  list(directory: string): Promise<string[]>;
  open(path: string, mode: OpenMode): Promise<FileHandle>;
  /** Replaces `to` where it exists. */
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  /** Takes the directory for this process until it ends, however it ends. @throws EngineError LOCKED, naming the owner */
  lock(directory: string): Promise<DirectoryLock>;
}
