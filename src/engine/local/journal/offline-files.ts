/** The `Files` of somebody who only looks: nothing is locked, created, removed or written, whatever is asked for. */
import type { DirectoryLock, FileHandle, Files, OpenMode } from './files.ts';

export class OfflineFiles implements Files {
  readonly #files: Files;

  constructor(files: Files) {
    this.#files = files;
  }

  makeDirectory(): Promise<void> {
    return Promise.resolve();
  }

  list(directory: string): Promise<string[]> {
    return this.#files.list(directory);
  }

  open(path: string, mode: OpenMode): Promise<FileHandle> {
    if (mode !== 'read') return Promise.reject(new Error(`${path} is not to be written`));
    return this.#files.open(path, 'read');
  }

  rename(from: string): Promise<void> {
    return Promise.reject(new Error(`${from} is not to be renamed`));
  }

  /** Leftovers of a write that was cut short stay. */
  unlink(): Promise<void> {
    return Promise.resolve();
  }

  syncDirectory(): Promise<void> {
    return Promise.resolve();
  }

  lock(): Promise<DirectoryLock> {
    return Promise.resolve({ release: () => Promise.resolve() });
  }
}
