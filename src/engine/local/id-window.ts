/**
 * Ids of messages that are remembered in one scope, oldest first, as hashes. They lie in pages that only grow at the end of the list, so
 * that a checkpoint writes what came since the last one; the map beside them is put together again from the pages.
 */
import type { EntryReader, EntryWriter } from './journal/directory.ts';

const HASH_BYTES = 16;
const ID_BYTES = HASH_BYTES + 8;
const IDS_PER_PAGE = 1024;
/** Old ids forgotten in one go. */
const MOST_FORGOTTEN = 256;

export class IdPage {
  size = 0;
  /** Where the newest checkpoint that has all of it keeps it; null: changed since. Owned by journal/checkpoint. */
  stored: unknown = null;
  /** Per id: hash, f64 when it was remembered. */
  #bytes = Buffer.alloc(4 * ID_BYTES);

  add(hash: string, at: number): void {
    if ((this.size + 1) * ID_BYTES > this.#bytes.length) {
      const grown = Buffer.alloc(2 * this.#bytes.length);
      this.#bytes.copy(grown);
      this.#bytes = grown;
    }
    this.#bytes.write(hash, this.size * ID_BYTES, 'latin1');
    this.#bytes.writeDoubleLE(at, this.size * ID_BYTES + HASH_BYTES);
    this.size++;
    this.stored = null;
  }

  hash(id: number): string {
    return this.#bytes.toString('latin1', id * ID_BYTES, id * ID_BYTES + HASH_BYTES);
  }

  at(id: number): number {
    return this.#bytes.readDoubleLE(id * ID_BYTES + HASH_BYTES);
  }

  write(writer: EntryWriter): void {
    writer.u32(this.size);
    writer.bytes(this.#bytes.subarray(0, this.size * ID_BYTES));
  }

  static read(reader: EntryReader): IdPage {
    const page = new IdPage();
    page.size = reader.u32();
    page.#bytes = Buffer.from(reader.bytes(page.size * ID_BYTES));
    return page;
  }
}

export class IdWindow {
  /** For how long an id is remembered, as the last publish said. */
  forMs = 0;
  /** The latest time of an id in it. */
  #latest = -Infinity;
  /** Hashes of ids that are remembered by a number below 0, by that: of messages that are delayed. */
  readonly #delayed = new Map<number, string>();
  /** Ids that were alive when it was last swept. */
  #swept = 0;
  /** Where the oldest id that is remembered lies in the first page. */
  first = 0;
  readonly pages: IdPage[] = [];
  /** Number of an id, counted over all pages that there ever were, by its hash. */
  readonly #numbers = new Map<string, number>();
  /** Of the first page's first id. */
  #base = 0;
  #next = 0;

  get size(): number {
    return this.#numbers.size;
  }

  /** Of the pages: an id that was remembered again has several. */
  get #entries(): number {
    const last = this.pages[this.pages.length - 1];
    return last === undefined ? 0 : (this.pages.length - 1) * IDS_PER_PAGE + last.size - this.first;
  }

  rememberedAt(hash: string): number | undefined {
    const number = this.#numbers.get(hash);
    if (number === undefined) return undefined;
    const at = number - this.#base;
    return this.pages[Math.floor(at / IDS_PER_PAGE)]!.at(at % IDS_PER_PAGE);
  }

  /** Of the ids that are remembered, oldest first. */
  *hashes(): IterableIterator<string> {
    let number = this.#base + this.first;
    let id = this.first;
    for (const page of this.pages) {
      for (; id < page.size; id++, number++) {
        const hash = page.hash(id);
        if (this.#numbers.get(hash) === number) yield hash;
      }
      id = 0;
    }
  }

  add(hash: string, at: number, forMs: number): void {
    this.forMs = forMs;
    let page = this.pages[this.pages.length - 1];
    if (page === undefined || page.size === IDS_PER_PAGE) {
      page = new IdPage();
      this.pages.push(page);
    }
    page.add(hash, at);
    this.#latest = Math.max(this.#latest, at);
    if (at < 0 && forMs === Infinity) this.#delayed.set(at, hash);
    this.#numbers.set(hash, this.#next++);
  }

  /** Forgets all beyond `most` ids, and of those whose time is over at least some, the oldest first. */
  forget(most: number, now: number): void {
    for (let old = 0; this.pages.length > 0; this.first++) {
      const page = this.pages[0]!;
      if (this.first === page.size) {
        if (this.pages.length === 1) break;
        this.pages.shift();
        this.#base += IDS_PER_PAGE;
        this.first = -1;
        continue;
      }
      if (this.#numbers.size <= most && (page.at(this.first) + this.forMs > now || old++ === MOST_FORGOTTEN)) break;
      const hash = page.hash(this.first);
      // It may have been remembered again since.
      if (this.#numbers.get(hash) === this.#base + this.first) this.#numbers.delete(hash);
    }
    // Behind an id that lasts, others may have been remembered again and again.
    if (this.#entries > 2 * this.#numbers.size + IDS_PER_PAGE) this.#rebuild(() => true);
  }

  /** Whether nothing is remembered, or nothing that still counts. */
  isOver(now: number): boolean {
    return this.pages.length === 0 || this.#latest + this.forMs <= now;
  }

  /** The delayed message whose id is remembered at `before` is ready, and has the number `at`. */
  becameReady(before: number, at: number): void {
    const hash = this.#delayed.get(before);
    if (hash === undefined) return;
    this.#delayed.delete(before);
    // Remembered once more since then, it is another's.
    if (this.rememberedAt(hash) === before) this.add(hash, at, this.forMs);
  }

  /** Of ids that are remembered as long as something is there: forgets all but those, once it is worth the work. */
  sweep(isThere: (at: number) => boolean): void {
    const ids = this.#entries;
    if (ids < IDS_PER_PAGE || ids < 2 * this.#swept) return;
    this.#rebuild(isThere);
    this.#swept = this.#numbers.size;
  }

  /** Pages of the ids that are remembered and to be kept, in their order, each once. */
  #rebuild(isKept: (at: number) => boolean): void {
    const kept: { readonly hash: string; readonly at: number }[] = [];
    let number = this.#base + this.first;
    let id = this.first;
    for (const page of this.pages) {
      for (; id < page.size; id++, number++) {
        const hash = page.hash(id);
        const at = page.at(id);
        if (this.#numbers.get(hash) === number && isKept(at)) kept.push({ hash, at });
      }
      id = 0;
    }
    this.pages.length = 0;
    this.#delayed.clear();
    this.#numbers.clear();
    this.first = 0;
    this.#base = 0;
    this.#next = 0;
    for (const { hash, at } of kept) this.add(hash, at, this.forMs);
  }

  /** At recovery, in order; `first` and `forMs` are set before. */
  restore(page: IdPage): void {
    const from = this.pages.length === 0 ? this.first : 0;
    for (let id = from; id < page.size; id++) {
      this.#numbers.set(page.hash(id), this.#next + id);
      const at = page.at(id);
      this.#latest = Math.max(this.#latest, at);
      if (at < 0 && this.forMs === Infinity) this.#delayed.set(at, page.hash(id));
    }
    this.#next += page.size;
    this.pages.push(page);
  }
}
