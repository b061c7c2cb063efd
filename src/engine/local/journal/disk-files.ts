/**
 * The `Files` of a real disk. Hot path: `DiskFile.append` makes no promise and no closure.
 *
 * A synced append is one hop to the thread pool where the system allows: a second descriptor of the same file, opened with
 * O_DSYNC, on which a write returns once it is durable. That holds for the bytes of this write alone, so after plain writes that no
 * sync has covered yet it goes the long way, a write and then fdatasync, and nothing before a synced append can be lost.
 */
import assert from 'node:assert';
import { constants, fdatasync, read, readSync, write, type NoParamCallback } from 'node:fs';
import { mkdir, open, readdir, rename, stat, unlink, type FileHandle as Descriptor } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { lockDirectory } from './directory-lock.ts';
import type { DirectoryLock, FileHandle, Files, OpenMode } from './files.ts';
import { ReadPace } from './read-pace.ts';

/** A longer one takes its time even from the system's cache. */
const SHORT_READ_BYTES = 4 * 1024;
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** Elsewhere O_DSYNC is absent, or (macOS) stops short of the drive's cache, which Node's fdatasync does not. */
const SYNCED_WRITES = process.platform === 'linux';

const OPEN_FLAGS: Record<OpenMode, number> = {
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
  update: constants.O_RDWR,
  read: constants.O_RDONLY,
};

function codedError(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

export class DiskFile implements FileHandle {
  readonly path: string;
  readonly #plain: Descriptor;
  readonly #synced: Descriptor | null;
  readonly #pace: ReadPace;

  /** Plain writes that ended, however they ended, and how many of them a sync has covered. */
  #writes = 0;
  #writesSynced = 0;

  // The append under way: there is one at a time, so its state needs no closure.
  #done: ((error: Error | null) => void) | null = null;
  #bytes: Uint8Array | null = null;
  #offset = 0;
  #left = 0;
  #position = 0;
  #descriptor = -1;
  #syncAfter = false;
  #writesBefore = 0;
  #onIdle: (() => void) | null = null;

  /**
   * @param synced a descriptor of the same file opened with O_DSYNC, or null where there is none
   * @param pace shared by the files of a disk
   */
  constructor(path: string, plain: Descriptor, synced: Descriptor | null, pace: ReadPace) {
    this.path = path;
    this.#pace = pace;
    this.#plain = plain;
    this.#synced = synced;
  }

  async read(into: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    let done = 0;
    while (done < length) {
      const { bytesRead } = await this.#plain.read(into, offset + done, length - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async readEach(into: Uint8Array, length: number, positions: readonly number[]): Promise<number[]> {
    const { fd } = this.#plain;
    const counts: number[] = [];
    if (length <= SHORT_READ_BYTES) {
      const done = this.#pace.whileQuick(positions.length, (at) => {
        counts.push(readSync(fd, into, at * length, length, positions[at]!));
      });
      // Whoever reads on and on leaves the event loop a turn in between.
      if (done > 0 && done === positions.length) await new Promise(setImmediate);
    }
    const left = positions.length - counts.length;
    if (left > 0) {
      const isShort = length <= SHORT_READ_BYTES;
      if (isShort) this.#pace.pooled(left);
      try {
        await this.#readRest(into, length, positions, counts);
      } finally {
        if (isShort) this.#pace.came(left);
      }
    }
    return counts;
  }

  #readRest(into: Uint8Array, length: number, positions: readonly number[], counts: number[]): Promise<void> {
    return new Promise((resolve, reject) => {
      let left = positions.length - counts.length;
      let failure: Error | null = null;
      for (let at = counts.length; at < positions.length; at++) {
        // A short file system read ends at the end of the file only: these are regular files.
        read(this.#plain.fd, into, at * length, length, positions[at]!, (error, bytes) => {
          counts[at] = bytes;
          failure ??= error;
          if (--left > 0) return;
          if (failure === null) resolve();
          else reject(failure);
        });
      }
    });
  }

  async write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    try {
      for (let done = 0; done < length;) {
        const { bytesWritten } = await this.#plain.write(bytes, offset + done, length - done, position + done);
        if (bytesWritten === 0) throw this.#nothingWritten();
        done += bytesWritten;
      }
    } finally {
      this.#writes++;
    }
  }

  append(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
    sync: boolean,
    done: (error: Error | null) => void,
  ): void {
    assert(this.#done === null, 'one append at a time');
    this.#done = done;
    if (this.#plain.fd < 0) {
      process.nextTick(this.#finish, codedError('EBADF', `${this.path} is closed`));
      return;
    }
    const direct = sync && this.#synced !== null && this.#writes === this.#writesSynced;
    this.#bytes = bytes;
    this.#offset = offset;
    this.#left = length;
    this.#position = position;
    this.#descriptor = direct ? this.#synced.fd : this.#plain.fd;
    this.#syncAfter = sync && !direct;
    if (!direct) this.#writes++;
    this.#writesBefore = this.#writes;
    if (length > 0) this.#writeOn();
    else if (this.#syncAfter) fdatasync(this.#plain.fd, this.#whenSynced);
    else process.nextTick(this.#finish, null);
  }

  async sync(): Promise<void> {
    const covered = this.#writes;
    await this.#plain.datasync();
    this.#writesSynced = Math.max(this.#writesSynced, covered);
  }

  async truncate(size: number): Promise<void> {
    try {
      await this.#plain.truncate(size);
    } finally {
      this.#writes++;
    }
  }

  async size(): Promise<number> {
    return (await this.#plain.stat()).size;
  }

  async close(): Promise<void> {
    // A descriptor closed under a write could be another file's by the time the thread pool gets to it.
    if (this.#done !== null) await new Promise<void>((idle) => (this.#onIdle = idle));
    try {
      await this.#synced?.close();
    } finally {
      await this.#plain.close();
    }
  }

  #writeOn(): void {
    write(this.#descriptor, this.#bytes!, this.#offset, this.#left, this.#position, this.#whenWritten);
  }

  readonly #whenWritten = (error: Error | null, written: number): void => {
    if (error !== null || written === 0) {
      this.#finish(error ?? this.#nothingWritten());
      return;
    }
    this.#offset += written;
    this.#left -= written;
    this.#position += written;
    if (this.#left > 0) this.#writeOn();
    else if (this.#syncAfter) fdatasync(this.#plain.fd, this.#whenSynced);
    else this.#finish(null);
  };

  readonly #whenSynced: NoParamCallback = (error) => {
    if (error === null) this.#writesSynced = Math.max(this.#writesSynced, this.#writesBefore);
    this.#finish(error);
  };

  readonly #finish = (error: Error | null): void => {
    const done = this.#done!;
    this.#done = null;
    this.#bytes = null;
    this.#onIdle?.();
    this.#onIdle = null;
    done(error);
  };

  #nothingWritten(): Error {
    return codedError('EIO', `a write to ${this.path} wrote nothing`);
  }
}

/** False: nothing is there. @throws Error ENOTDIR where a file is */
async function isDirectory(path: string): Promise<boolean> {
  let found;
  try {
    found = await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  if (!found.isDirectory()) throw codedError('ENOTDIR', `${path} is not a directory`);
  return true;
}

export class DiskFiles implements Files {
  readonly #pace = new ReadPace();

  async makeDirectory(path: string): Promise<void> {
    const missing: string[] = [];
    for (let at = resolve(path); !(await isDirectory(at)); at = dirname(at)) missing.push(at);
    // One by one: the recursive `mkdir` of Node never returns where a file system makes no directories (/proc).
    for (const each of missing.reverse()) {
      try {
        await mkdir(each, DIRECTORY_MODE);
      } catch (error) {
        // Somebody else was faster.
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      await this.syncDirectory(dirname(each));
    }
  }

  list(directory: string): Promise<string[]> {
    return readdir(directory);
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const plain = await open(path, OPEN_FLAGS[mode], FILE_MODE);
    if (mode === 'read' || !SYNCED_WRITES) return new DiskFile(path, plain, null, this.#pace);
    try {
      return new DiskFile(path, plain, await open(path, constants.O_WRONLY | constants.O_DSYNC), this.#pace);
    } catch (error) {
      await plain.close();
      // Or the next attempt would find that the file exists.
      if (mode === 'create') await unlink(path).catch(() => undefined);
      throw error;
    }
  }

  rename(from: string, to: string): Promise<void> {
    return rename(from, to);
  }

  unlink(path: string): Promise<void> {
    return unlink(path);
  }

  async syncDirectory(path: string): Promise<void> {
    const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  lock(directory: string): Promise<DirectoryLock> {
    return lockDirectory(directory);
  }
}
