/**
 * A disk that keeps what POSIX promises and nothing more. Each file has the content that reads see (page cache) and the content
 * that a power cut leaves; between the two stands the list of what was not synced. A power cut keeps, loses or tears
 * each entry of that list on its own, so later writes may survive earlier ones. Directory entries are treated alike.
 *
 * The list is the page cache: bytes made durable by a later O_DSYNC write replace those of older unsynced writes to the same range.
 */
import type { Coverage } from './coverage.ts';
import type { Random } from './random.ts';

const pageBytes = 4096;
const sectorBytes = 512;

/** A write or truncate that no sync has covered. `done`: the call completed; before that it may also be half-way. */
export interface DataOp {
  readonly kind: 'write' | 'truncate';
  readonly position: number;
  bytes: Buffer;
  done: boolean;
}

export interface EntryOp {
  readonly kind: 'create' | 'unlink' | 'rename';
  readonly name: string;
  /** New name of a rename. */
  readonly to: string;
  readonly node: Node;
  done: boolean;
}

const nothing = Buffer.alloc(0);

/** Bytes with a size, zero where never written. */
class Content {
  bytes: Buffer = nothing;
  size = 0;

  write(from: Uint8Array, position: number): void {
    const end = position + from.length;
    this.resize(Math.max(this.size, end));
    this.bytes.set(from, position);
  }

  resize(size: number): void {
    if (size > this.bytes.length) {
      const grown = Buffer.alloc(Math.max(size, this.bytes.length * 2, 4096));
      grown.set(this.bytes.subarray(0, this.size));
      this.bytes = grown;
    } else if (size < this.size) {
      this.bytes.fill(0, size, this.size);
    }
    this.size = size;
  }

  copyFrom(other: Content): void {
    this.resize(0);
    this.resize(other.size);
    this.bytes.set(other.bytes.subarray(0, other.size));
  }

  view(): Buffer {
    return this.bytes.subarray(0, this.size);
  }
}

export class Inode {
  readonly seen = new Content();
  readonly durable = new Content();
  readonly pending: DataOp[] = [];
  /** Pages that have space on the disk: rewriting them can't fail for lack of it. */
  #pages = new Uint8Array(16);
  appending = false;

  /** How many pages a write there needs that the file does not have. */
  missingPages(position: number, length: number): number {
    let missing = 0;
    for (let page = Math.floor(position / pageBytes); page * pageBytes < position + length; page++) {
      if (page >= this.#pages.length || this.#pages[page] === 0) missing++;
    }
    return missing;
  }

  get pages(): number {
    return this.#pages.reduce((sum, page) => sum + page, 0);
  }

  begin(kind: 'write' | 'truncate', position: number, bytes: Buffer): DataOp {
    const op: DataOp = { kind, position, bytes, done: false };
    this.pending.push(op);
    return op;
  }

  /** The call returned: reads see it, a power cut may still lose it. */
  complete(op: DataOp): void {
    op.done = true;
    this.#see(op);
  }

  #see(op: DataOp): void {
    if (op.kind === 'truncate') {
      this.seen.resize(op.position);
      this.#pages.fill(0, Math.ceil(op.position / pageBytes));
      return;
    }
    this.seen.write(op.bytes, op.position);
    const last = Math.floor((op.position + op.bytes.length - 1) / pageBytes);
    if (last >= this.#pages.length) {
      const grown = new Uint8Array((last + 1) * 2);
      grown.set(this.#pages);
      this.#pages = grown;
    }
    if (op.bytes.length > 0) this.#pages.fill(1, Math.floor(op.position / pageBytes), last + 1);
  }

  /** The call failed and did nothing. */
  drop(op: DataOp): void {
    this.pending.splice(this.pending.indexOf(op), 1);
  }

  /** The call failed or its process died in it: a part of it may have happened. */
  abandon(op: DataOp, random: Random): void {
    const at = this.pending.indexOf(op);
    if (op.kind === 'truncate') {
      if (random.chance(0.5)) this.complete(op);
      else this.pending.splice(at, 1);
      return;
    }
    const length = random.chance(0.3) ? op.bytes.length : random.below(op.bytes.length + 1);
    if (length === 0) {
      this.pending.splice(at, 1);
      return;
    }
    op.bytes = op.bytes.subarray(0, length);
    this.complete(op);
  }

  /** O_DSYNC: this one write is durable; of others to the same file nothing is said. */
  completeDurable(op: DataOp): void {
    this.complete(op);
    const end = op.position + op.bytes.length;
    const at = this.pending.indexOf(op);
    this.pending.splice(at, 1);
    for (let i = 0; i < this.pending.length; i++) {
      const other = this.pending[i]!;
      if (other.kind === 'truncate') {
        // The size is written along with the bytes.
        if (other.done && i < at) {
          this.#persist(other);
          this.pending.splice(i--, 1);
        }
        continue;
      }
      const from = Math.max(other.position, op.position);
      const to = Math.min(other.position + other.bytes.length, end);
      if (from < to && other.done)
        other.bytes.set(op.bytes.subarray(from - op.position, to - op.position), from - other.position);
    }
    this.#persist(op);
  }

  /** What a sync that begins now will cover: what was complete before. */
  covered(): DataOp[] {
    return this.pending.filter((op) => op.done);
  }

  synced(covered: readonly DataOp[]): void {
    for (const op of covered) {
      const at = this.pending.indexOf(op);
      if (at < 0) continue;
      this.pending.splice(at, 1);
      this.#persist(op);
    }
  }

  /** A failed sync: its pages are clean now, so reads go on seeing them and no later sync writes them; which reached the disk is chance. */
  syncFailed(covered: readonly DataOp[], random: Random, coverage: Coverage): void {
    for (const op of covered) {
      const at = this.pending.indexOf(op);
      if (at < 0) continue;
      this.pending.splice(at, 1);
      const fate = random.below(3);
      if (fate === 0) this.#persist(op);
      else if (fate === 1 && op.kind === 'write') this.#tear(op, random, coverage);
      else coverage.add('disk.clean-but-not-on-disk');
    }
  }

  /** Power is cut: what reads see afterwards is what the disk has. */
  cut(random: Random, style: CutStyle, coverage: Coverage): void {
    let lostOne = false;
    let stopped = false;
    const stopAt = random.below(this.pending.length + 1);
    for (let i = 0; i < this.pending.length; i++) {
      const op = this.pending[i]!;
      let fate: 'kept' | 'lost' | 'torn';
      if (style === 'lose') fate = 'lost';
      else if (style === 'keep') fate = 'kept';
      else if (style === 'tear') fate = 'torn';
      else if (style === 'prefix') {
        fate = stopped ? 'lost' : i < stopAt ? 'kept' : 'torn';
        if (fate === 'torn') stopped = true;
      } else {
        const roll = random.unit();
        fate = roll < 0.4 ? 'kept' : roll < 0.7 ? 'lost' : 'torn';
      }
      if (op.kind === 'truncate' && fate === 'torn') fate = 'lost';
      coverage.add(`disk.${op.kind}-${fate}`);
      if (fate === 'kept') {
        if (lostOne) coverage.add('disk.reordered');
        this.#persist(op);
      } else if (fate === 'torn') {
        lostOne = true;
        this.#tear(op, random, coverage);
      } else {
        lostOne = true;
        if (op.kind === 'write' && style !== 'lose' && random.chance(0.2)) {
          // The new size reached the disk, the bytes did not.
          const end = op.position + op.bytes.length;
          if (end > this.durable.size) {
            this.durable.resize(end);
            coverage.add('disk.size-without-bytes');
          }
        }
      }
    }
    this.pending.length = 0;
    this.appending = false;
    this.seen.copyFrom(this.durable);
  }

  #persist(op: DataOp): void {
    if (op.kind === 'truncate') this.durable.resize(op.position);
    else this.durable.write(op.bytes, op.position);
  }

  #tear(op: DataOp, random: Random, coverage: Coverage): void {
    const { position, bytes } = op;
    const length = bytes.length;
    const style = random.below(4);
    const cutAt = random.below(length + 1);
    if (style === 0) {
      coverage.add('disk.torn-at-byte');
      this.durable.write(bytes.subarray(0, cutAt), position);
      return;
    }
    if (style === 1) {
      coverage.add('disk.torn-at-sector');
      const sector = Math.floor((position + cutAt) / sectorBytes) * sectorBytes;
      if (sector > position) this.durable.write(bytes.subarray(0, sector - position), position);
      return;
    }
    // Any subset of sectors, or all but one.
    coverage.add('disk.torn-subset-of-sectors');
    const first = Math.floor(position / sectorBytes);
    const last = Math.floor((position + Math.max(0, length - 1)) / sectorBytes);
    const spared = first + random.below(last - first + 1);
    for (let sector = first; sector <= last; sector++) {
      if (style === 2 ? random.chance(0.5) : sector === spared) continue;
      const from = Math.max(position, sector * sectorBytes);
      const to = Math.min(position + length, (sector + 1) * sectorBytes);
      this.durable.write(bytes.subarray(from - position, to - position), from);
    }
  }
}

export type CutStyle = 'lose' | 'keep' | 'tear' | 'prefix' | 'each';

export class Directory {
  readonly entries = new Map<string, Node>();
  readonly #durable = new Map<string, Node>();
  readonly #pending: EntryOp[] = [];

  /** A directory that was always there. */
  prepare(name: string): void {
    const made = new Directory();
    this.entries.set(name, made);
    this.#durable.set(name, made);
  }

  /** A file that was always there. */
  put(name: string, bytes: Uint8Array): void {
    const inode = new Inode();
    inode.completeDurable(inode.begin('write', 0, Buffer.from(bytes)));
    this.entries.set(name, inode);
    this.#durable.set(name, inode);
  }

  begin(kind: EntryOp['kind'], name: string, node: Node, to = ''): EntryOp {
    const op: EntryOp = { kind, name, to, node, done: false };
    this.#pending.push(op);
    return op;
  }

  complete(op: EntryOp): void {
    op.done = true;
    apply(this.entries, op);
  }

  /** The call failed and did nothing. */
  drop(op: EntryOp): void {
    this.#pending.splice(this.#pending.indexOf(op), 1);
  }

  abandon(op: EntryOp, random: Random): void {
    if (random.chance(0.5)) this.complete(op);
    else this.#pending.splice(this.#pending.indexOf(op), 1);
  }

  covered(): EntryOp[] {
    return this.#pending.filter((op) => op.done);
  }

  synced(covered: readonly EntryOp[]): void {
    for (const op of covered) {
      const at = this.#pending.indexOf(op);
      if (at < 0) continue;
      this.#pending.splice(at, 1);
      apply(this.#durable, op);
    }
  }

  /** Some entries may be durable; the others wait for the next sync, as a file system's own journal does not forget them. */
  syncFailed(covered: readonly EntryOp[], random: Random): void {
    this.synced(covered.filter(() => random.chance(0.5)));
  }

  /** The process died: calls that were under way may have happened. */
  kill(random: Random): void {
    for (const op of [...this.#pending]) if (!op.done) this.abandon(op, random);
    for (const node of this.entries.values()) {
      if (node instanceof Directory) node.kill(random);
      else {
        for (const op of [...node.pending]) if (!op.done) node.abandon(op, random);
        node.appending = false;
      }
    }
  }

  cut(random: Random, coverage: Coverage): void {
    const style = random.weighted({ lose: 3, keep: 1, prefix: 3, each: 4 });
    const stopAt = random.below(this.#pending.length + 1);
    this.#pending.forEach((op, i) => {
      const kept = style === 'keep' || (style === 'prefix' ? i < stopAt : style === 'each' && random.chance(0.5));
      coverage.add(`disk.entry-${op.kind}-${kept ? 'kept' : 'lost'}`);
      if (kept) apply(this.#durable, op);
    });
    this.#pending.length = 0;
    this.entries.clear();
    for (const [name, node] of this.#durable) this.entries.set(name, node);
    const dataStyle = random.weighted({ lose: 3, keep: 1, tear: 2, prefix: 3, each: 5 });
    for (const node of this.entries.values()) {
      if (node instanceof Directory) node.cut(random, coverage);
      else node.cut(random, dataStyle, coverage);
    }
  }
}

export type Node = Inode | Directory;

function apply(entries: Map<string, Node>, op: EntryOp): void {
  if (op.kind === 'create') entries.set(op.name, op.node);
  else if (op.kind === 'unlink') {
    if (entries.get(op.name) === op.node) entries.delete(op.name);
  } else {
    if (entries.get(op.name) === op.node) entries.delete(op.name);
    entries.set(op.to, op.node);
  }
}

export class SimDisk {
  readonly root = new Directory();
  /** Once it is full: what was given back since. Whatever needs more fails. */
  freePages = Infinity;
  /** Who holds which directory. */
  readonly locks = new Map<string, { dead: boolean }>();
  readonly coverage: Coverage;

  constructor(coverage: Coverage) {
    this.coverage = coverage;
  }

  /** @returns the directory that holds the last part of `path`, and that part. */
  resolve(path: string): { parent: Directory; name: string } | null {
    const parts = path.split('/').filter((part) => part !== '' && part !== '.');
    const name = parts.pop() ?? '';
    let parent = this.root;
    for (const part of parts) {
      const next = parent.entries.get(part);
      if (!(next instanceof Directory)) return null;
      parent = next;
    }
    return { parent, name };
  }

  node(path: string): Node | undefined {
    const place = this.resolve(path);
    if (place === null) return undefined;
    return place.name === '' ? this.root : place.parent.entries.get(place.name);
  }

  directory(path: string): Directory | undefined {
    const node = this.node(path);
    return node instanceof Directory ? node : undefined;
  }

  get full(): boolean {
    return this.freePages !== Infinity;
  }

  /** False: there is not so much space. */
  allocate(pages: number): boolean {
    if (pages > this.freePages) return false;
    this.freePages -= pages;
    return true;
  }

  /** The name is gone, and with it the file. */
  release(node: Node | undefined): void {
    if (node instanceof Inode) this.freePages += node.pages;
  }

  /** SIGKILL: the kernel and its page cache live on. */
  kill(random: Random): void {
    this.root.kill(random);
  }

  powerCut(random: Random): void {
    this.root.cut(random, this.coverage);
  }

  /** Puts files with these bytes into a directory, as if they had always been there. */
  load(directory: string, files: ReadonlyMap<string, Uint8Array>): void {
    let parent = this.root;
    for (const part of directory.split('/').filter(Boolean)) {
      if (!parent.entries.has(part)) parent.prepare(part);
      parent = parent.entries.get(part) as Directory;
    }
    for (const [name, bytes] of files) parent.put(name, bytes);
  }

  /** The files of a directory as reads see them. */
  image(directory: string): Map<string, Buffer> {
    const files = new Map<string, Buffer>();
    for (const [name, node] of this.directory(directory)?.entries ?? []) {
      if (node instanceof Inode) files.set(name, Buffer.from(node.seen.view()));
    }
    return files;
  }

  /** Files below `path` with their sizes as reads see them. */
  sizes(path: string): Map<string, number> {
    const sizes = new Map<string, number>();
    for (const [name, node] of this.directory(path)?.entries ?? []) {
      if (node instanceof Inode) sizes.set(name, node.seen.size);
      else for (const [below, size] of this.sizes(`${path}/${name}`)) sizes.set(`${name}/${below}`, size);
    }
    return sizes;
  }
}
