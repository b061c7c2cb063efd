/**
 * The `Files` of one simulated process: each call takes a seeded time, so calls that are under way together end in any order;
 * any call may fail; and what the process does wrong (a buffer changed under a write, a handle used after its close) is noted.
 */
import { EngineError } from '../../src/engine/errors.ts';
import type { DirectoryLock, FileHandle, Files, OpenMode } from '../../src/engine/local/journal/files.ts';
import type { Coverage } from './coverage.ts';
import { type FaultCode, type FileCall, type Faults, systemError } from './faults.ts';
import type { Random } from './random.ts';
import type { Owner, Scheduler } from './scheduler.ts';
import { Directory, Inode, type SimDisk } from './sim-disk.ts';
import type { Trace } from './trace.ts';

export interface SimHost {
  readonly scheduler: Scheduler;
  readonly disk: SimDisk;
  readonly random: Random;
  readonly trace: Trace | null;
  readonly coverage: Coverage;
}

export class SimFiles implements Files {
  readonly host: SimHost;
  readonly owner: Owner;
  readonly faults: Faults;
  readonly handles = new Set<SimFileHandle>();
  /** Rules of the seam that the process broke. */
  readonly misuse: string[] = [];
  /** Told of each call as it is made. */
  called: ((call: FileCall) => void) | null = null;
  readonly #underWay = new Map<number, { readonly call: FileCall; readonly path: string }>();
  #calls = 0;
  readonly #slowness: number;

  constructor(host: SimHost, owner: Owner, faults: Faults) {
    this.host = host;
    this.owner = owner;
    this.faults = faults;
    this.#slowness = host.random.pick([0.2, 1, 1, 4]);
  }

  /** One call: decides now whether it fails, ends it after its time. `act` runs at the end of one that does not fail. */
  call(
    call: FileCall,
    path: string,
    detail: string,
    act: () => void,
    ended: (error: Error | null) => void,
    failed?: (code: FaultCode) => void,
  ): void {
    const { scheduler, trace } = this.host;
    const id = this.#calls++;
    const code = this.faults.next(call, path, scheduler.steps);
    this.#underWay.set(id, { call, path });
    this.called?.(call);
    trace?.line(`${scheduler.nowUs} ${id} ${call} ${path} ${detail}`);
    scheduler.at(this.#latencyUs(call), this.owner, () => {
      let error: Error | null = null;
      this.#underWay.delete(id);
      if (code === null) {
        try {
          act();
        } catch (thrown) {
          error = thrown as Error;
        }
      } else {
        failed?.(code);
        error = systemError(code, call, path);
      }
      trace?.line(
        `${scheduler.nowUs} ${id} = ${error === null ? 'ok' : ((error as NodeJS.ErrnoException).code ?? 'error')}`,
      );
      ended(error);
    });
  }

  /** What calls are under way: kind and file. */
  underWay(): string[] {
    return [...this.#underWay.values()].map(({ call, path }) => `${call}-${path.slice(path.lastIndexOf('/') + 1)}`);
  }

  /** The range of a call, for the history; nothing without one. */
  told(position: number | readonly number[], length: number, sync = false): string {
    if (this.host.trace === null) return '';
    return `${String(position)}+${length}${sync ? ' sync' : ''}`;
  }

  promise<T>(
    call: FileCall,
    path: string,
    detail: string,
    act: () => T,
    failed?: (code: FaultCode) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let result: T;
      this.call(
        call,
        path,
        detail,
        () => {
          result = act();
        },
        (error) => {
          if (error === null) resolve(result);
          else reject(error);
        },
        failed,
      );
    });
  }

  #latencyUs(call: FileCall): number {
    const { random } = this.host;
    const slow = random.unit();
    const base = call === 'sync' || call === 'syncDirectory' || call === 'append' ? 400 : call === 'write' ? 60 : 30;
    const stretched = slow > 0.98 ? base * 30 : slow > 0.9 ? base * 5 : base;
    return 1 + Math.floor(stretched * this.#slowness * (0.3 + random.unit()));
  }

  makeDirectory(path: string): Promise<void> {
    return this.promise('makeDirectory', path, '', () => {
      let parent = this.host.disk.root;
      for (const part of path.split('/').filter(Boolean)) {
        const next = parent.entries.get(part);
        if (next instanceof Inode) throw systemError('ENOTDIR', 'mkdir', path);
        if (next !== undefined) {
          parent = next;
          continue;
        }
        const made = new Directory();
        // Only this call knows which parents are new, so it makes their names durable itself.
        const op = parent.begin('create', part, made);
        parent.complete(op);
        parent.synced([op]);
        parent = made;
      }
    });
  }

  list(directory: string): Promise<string[]> {
    return this.promise('list', directory, '', () => {
      const found = this.#directory(directory, 'scandir');
      // A directory's order is nobody's promise.
      const names = [...found.entries].filter(([, node]) => node instanceof Inode).map(([name]) => name);
      return this.host.random.chance(0.5) ? names : names.reverse();
    });
  }

  open(path: string, mode: OpenMode): Promise<FileHandle> {
    const place = this.host.disk.resolve(path);
    const opened = (inode: Inode): FileHandle => {
      const handle = new SimFileHandle(this, path, inode, mode !== 'read');
      this.handles.add(handle);
      return handle;
    };
    if (mode !== 'create') {
      return this.promise('open', path, mode, () => {
        const node = this.host.disk.node(path);
        if (!(node instanceof Inode)) throw systemError(node === undefined ? 'ENOENT' : 'EISDIR', 'open', path);
        return opened(node);
      });
    }
    // A create that is under way when the power is cut may have happened.
    const exists = place?.parent.entries.has(place.name) ?? false;
    const op = place === null || exists ? null : place.parent.begin('create', place.name, new Inode());
    return this.promise(
      'create',
      path,
      '',
      () => {
        if (place === null) throw systemError('ENOENT', 'open', path);
        if (op === null || place.parent.entries.has(place.name)) throw systemError('EEXIST', 'open', path);
        if (this.host.disk.freePages === 0) {
          place.parent.drop(op);
          this.faults.note('create', path, 'ENOSPC', this.host.scheduler.steps);
          throw systemError('ENOSPC', 'open', path);
        }
        place.parent.complete(op);
        return opened(op.node as Inode);
      },
      (code) => {
        if (op === null || place === null) return;
        if (code === 'EIO') place.parent.abandon(op, this.host.random);
        else place.parent.drop(op);
      },
    );
  }

  rename(from: string, to: string): Promise<void> {
    const source = this.host.disk.resolve(from);
    const target = this.host.disk.resolve(to);
    const node = source?.parent.entries.get(source.name);
    if (source !== null && target !== null && source.parent !== target.parent) {
      throw new Error(`simulated disk: rename from one directory to another is not modelled: ${from} ${to}`);
    }
    const op =
      node === undefined || target === null ? null : target.parent.begin('rename', source!.name, node, target.name);
    return this.promise(
      'rename',
      from,
      to,
      () => {
        if (op === null) throw systemError('ENOENT', 'rename', from);
        this.host.disk.release(target!.parent.entries.get(target!.name));
        target!.parent.complete(op);
      },
      () => {
        if (op !== null) target!.parent.abandon(op, this.host.random);
      },
    );
  }

  unlink(path: string): Promise<void> {
    const place = this.host.disk.resolve(path);
    const node = place?.parent.entries.get(place.name);
    const op = node === undefined ? null : place!.parent.begin('unlink', place!.name, node);
    return this.promise(
      'unlink',
      path,
      '',
      () => {
        if (op === null) throw systemError('ENOENT', 'unlink', path);
        place!.parent.complete(op);
        this.host.disk.release(node);
      },
      () => {
        if (op !== null) place!.parent.abandon(op, this.host.random);
      },
    );
  }

  syncDirectory(path: string): Promise<void> {
    const directory = this.host.disk.directory(path);
    const covered = directory?.covered() ?? [];
    return this.promise(
      'syncDirectory',
      path,
      '',
      () => {
        if (directory === undefined) throw systemError('ENOENT', 'open', path);
        directory.synced(covered);
      },
      () => directory?.syncFailed(covered, this.host.random),
    );
  }

  lock(directory: string): Promise<DirectoryLock> {
    const { locks } = this.host.disk;
    return this.promise('lock', directory, '', () => {
      this.#directory(directory, 'open');
      const holder = locks.get(directory);
      if (holder !== undefined && !holder.dead)
        throw new EngineError('LOCKED', `${directory} is held by another process`);
      const token = { dead: false, owner: this.owner };
      locks.set(directory, {
        get dead() {
          return token.dead || token.owner.dead;
        },
      });
      return {
        release: () =>
          this.promise('close', `${directory} (lock)`, '', () => {
            token.dead = true;
          }),
      };
    });
  }

  #directory(path: string, call: string): Directory {
    const found = this.host.disk.directory(path);
    if (found === undefined) throw systemError('ENOENT', call, path);
    return found;
  }
}

export class SimFileHandle implements FileHandle {
  readonly path: string;
  readonly #files: SimFiles;
  readonly #inode: Inode;
  readonly #writable: boolean;
  #closed = false;
  #underWay = 0;

  constructor(files: SimFiles, path: string, inode: Inode, writable: boolean) {
    this.#files = files;
    this.path = path;
    this.#inode = inode;
    this.#writable = writable;
  }

  #enter(call: string, writes: boolean): void {
    if (this.#closed) this.#files.misuse.push(`${call} after close: ${this.path}`);
    if (writes && !this.#writable) this.#files.misuse.push(`${call} on a file opened for reading: ${this.path}`);
    this.#underWay++;
  }

  async read(into: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    this.#enter('read', false);
    if (offset + length > into.length) this.#files.misuse.push(`read beyond its buffer: ${this.path}`);
    try {
      return await this.#files.promise('read', this.path, this.#files.told(position, length), () => {
        const seen = this.#inode.seen.view();
        const end = Math.min(position + length, seen.length);
        if (position >= end) return 0;
        into.set(seen.subarray(position, end), offset);
        return end - position;
      });
    } finally {
      this.#underWay--;
    }
  }

  async readEach(into: Uint8Array, length: number, positions: readonly number[]): Promise<number[]> {
    this.#enter('readEach', false);
    if (length * positions.length > into.length) this.#files.misuse.push(`readEach beyond its buffer: ${this.path}`);
    try {
      return await this.#files.promise('read', this.path, this.#files.told(positions, length), () => {
        const seen = this.#inode.seen.view();
        return positions.map((position, at) => {
          const bytes = seen.subarray(position, position + length);
          into.set(bytes, at * length);
          return bytes.length;
        });
      });
    } finally {
      this.#underWay--;
    }
  }

  async write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#write('write', bytes, offset, length, position, false, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
  }

  append(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
    sync: boolean,
    done: (error: Error | null) => void,
  ): void {
    if (this.#inode.appending) this.#files.misuse.push(`two appends under way: ${this.path}`);
    this.#inode.appending = true;
    this.#write('append', bytes, offset, length, position, sync, (error) => {
      this.#inode.appending = false;
      done(error);
    });
  }

  #write(
    call: 'write' | 'append',
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
    sync: boolean,
    done: (error: Error | null) => void,
  ): void {
    this.#enter(call, true);
    if (offset + length > bytes.length) this.#files.misuse.push(`${call} beyond its buffer: ${this.path}`);
    const { coverage, disk, random, scheduler, trace } = this.#files.host;
    const inode = this.#inode;
    const given = bytes.subarray(offset, offset + length);
    const copy = Buffer.from(given);
    trace?.bytes(copy);
    const op = inode.begin('write', position, copy);
    this.#files.call(
      call,
      this.path,
      this.#files.told(position, length, sync),
      () => {
        if (copy.compare(given) !== 0)
          this.#files.misuse.push(`buffer changed under ${call}: ${this.path} at ${position}`);
        if (disk.full && !disk.allocate(inode.missingPages(position, length))) {
          inode.drop(op);
          this.#files.faults.note(call, this.path, 'ENOSPC', scheduler.steps);
          throw systemError('ENOSPC', call, this.path);
        }
        if (sync) inode.completeDurable(op);
        else inode.complete(op);
      },
      (error) => {
        this.#underWay--;
        done(error);
      },
      () => {
        inode.abandon(op, random);
        if (sync && op.done) inode.syncFailed([op], random, coverage);
      },
    );
  }

  async sync(): Promise<void> {
    this.#enter('sync', false);
    const { random, coverage } = this.#files.host;
    const covered = this.#inode.covered();
    try {
      await this.#files.promise(
        'sync',
        this.path,
        '',
        () => this.#inode.synced(covered),
        () => this.#inode.syncFailed(covered, random, coverage),
      );
    } finally {
      this.#underWay--;
    }
  }

  async truncate(size: number): Promise<void> {
    this.#enter('truncate', true);
    const op = this.#inode.begin('truncate', size, Buffer.alloc(0));
    try {
      await this.#files.promise(
        'truncate',
        this.path,
        String(size),
        () => this.#inode.complete(op),
        () => this.#inode.abandon(op, this.#files.host.random),
      );
    } finally {
      this.#underWay--;
    }
  }

  async size(): Promise<number> {
    this.#enter('size', false);
    try {
      return await this.#files.promise('size', this.path, '', () => this.#inode.seen.size);
    } finally {
      this.#underWay--;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) this.#files.misuse.push(`closed twice: ${this.path}`);
    // The number of a closed descriptor is given to the next file: a call under way could hit that one.
    if (this.#underWay > 0) this.#files.misuse.push(`closed with ${this.#underWay} calls under way: ${this.path}`);
    this.#closed = true;
    this.#files.handles.delete(this);
    await this.#files.promise('close', this.path, '', () => {});
  }
}
