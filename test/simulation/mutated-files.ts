/** Bugs that can be planted at the seam: a `Files` that says a thing is done before it is, or never does it. */
import type { FileHandle, Files } from '../../src/engine/local/journal/files.ts';

export type FilesMutation =
  | 'append-confirmed-before-sync'
  | 'sync-skipped'
  | 'directory-never-synced'
  | 'failed-sync-ignored'
  | 'failed-append-ignored';

export function mutatedFiles(files: Files, mutation: FilesMutation): Files {
  const ignore = (): void => undefined;
  const wrapped = (handle: FileHandle): FileHandle => ({
    path: handle.path,
    read: (into, offset, length, position) => handle.read(into, offset, length, position),
    readEach: (into, length, positions) => handle.readEach(into, length, positions),
    write: (bytes, offset, length, position) => handle.write(bytes, offset, length, position),
    append: (bytes, offset, length, position, sync, done) => {
      const told = mutation === 'failed-append-ignored' ? (): void => done(null) : done;
      handle.append(bytes, offset, length, position, sync && mutation !== 'append-confirmed-before-sync', told);
    },
    sync: () => {
      if (mutation === 'sync-skipped') return Promise.resolve();
      return mutation === 'failed-sync-ignored' ? handle.sync().catch(ignore) : handle.sync();
    },
    truncate: (size) => handle.truncate(size),
    size: () => handle.size(),
    close: () => handle.close(),
  });
  return {
    makeDirectory: (path) => files.makeDirectory(path),
    list: (directory) => files.list(directory),
    open: async (path, mode) => wrapped(await files.open(path, mode)),
    rename: (from, to) => files.rename(from, to),
    unlink: (path) => files.unlink(path),
    syncDirectory: (path) => (mutation === 'directory-never-synced' ? Promise.resolve() : files.syncDirectory(path)),
    lock: (directory) => files.lock(directory),
  };
}
