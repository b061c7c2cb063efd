/**
 * Where in time and size a stream's messages lie: sparse, one entry for a *part*, some neighbouring runs. Retention takes parts from
 * the head; a position by time begins with a part. Kept in pages of typed arrays; a page is also what a checkpoint writes when it changed.
 */
import type { EntryReader, EntryWriter } from './journal/directory.ts';

const PARTS_PER_PAGE = 512;
const WORDS = 4;

/** Of each part: its first number, when that was stored (no earlier than it was, and never falling), the bytes before it, and when what is in the part before it was stored last. */
export class StreamPage {
  size = 0;
  /** Where the newest checkpoint that has this page keeps it; null: changed since. Owned by journal/checkpoint. */
  stored: unknown = null;
  #words = new Float64Array(4 * WORDS);

  get isFull(): boolean {
    return this.size === PARTS_PER_PAGE;
  }

  firstOf(part: number): number {
    return this.#words[part * WORDS]!;
  }

  storedAtOf(part: number): number {
    return this.#words[part * WORDS + 1]!;
  }

  bytesOf(part: number): number {
    return this.#words[part * WORDS + 2]!;
  }

  lastBeforeOf(part: number): number {
    return this.#words[part * WORDS + 3]!;
  }

  append(first: number, storedAt: number, bytes: number, lastBefore: number): void {
    if (this.size * WORDS === this.#words.length) {
      const grown = new Float64Array(Math.min(PARTS_PER_PAGE, this.size * 2) * WORDS);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.set(this.size++, first, storedAt, bytes, lastBefore);
  }

  set(part: number, first: number, storedAt: number, bytes: number, lastBefore: number): void {
    this.#words.set([first, storedAt, bytes, lastBefore], part * WORDS);
    this.stored = null;
  }

  /** u32 n, n x { f64 first, f64 stored at, f64 bytes before, f64 what is in the part before it was stored last } */
  write(writer: EntryWriter): void {
    writer.u32(this.size);
    for (let at = 0; at < this.size * WORDS; at++) writer.f64(this.#words[at]!);
  }

  static read(reader: EntryReader): StreamPage {
    const page = new StreamPage();
    for (let n = reader.u32(); n > 0; n--) page.append(reader.f64(), reader.f64(), reader.f64(), reader.f64());
    return page;
  }
}

export class StreamIndex {
  /** All but the last are full. */
  readonly pages: StreamPage[] = [];
  /** Parts of the first page that are gone. */
  #gone = 0;
  #size = 0;

  /** How many parts there are. */
  get size(): number {
    return this.#size;
  }

  firstOf(part: number): number {
    const at = this.#gone + part;
    return this.#pageOf(at).firstOf(at % PARTS_PER_PAGE);
  }

  storedAtOf(part: number): number {
    const at = this.#gone + part;
    return this.#pageOf(at).storedAtOf(at % PARTS_PER_PAGE);
  }

  bytesOf(part: number): number {
    const at = this.#gone + part;
    return this.#pageOf(at).bytesOf(at % PARTS_PER_PAGE);
  }

  lastBeforeOf(part: number): number {
    const at = this.#gone + part;
    return this.#pageOf(at).lastBeforeOf(at % PARTS_PER_PAGE);
  }

  append(first: number, storedAt: number, bytes: number, lastBefore: number): void {
    let page = this.pages[this.pages.length - 1];
    if (page === undefined || page.isFull) {
      page = new StreamPage();
      this.pages.push(page);
    }
    page.append(first, storedAt, bytes, lastBefore);
    this.#size++;
  }

  dropFirst(): void {
    this.#size--;
    this.#gone++;
    if (this.#gone < PARTS_PER_PAGE && this.#size > 0) return;
    this.pages.shift();
    this.#gone = 0;
  }

  /** The first part begins here now. At recovery alone. */
  trim(first: number, bytes: number): void {
    this.#pageOf(this.#gone).set(this.#gone, first, this.storedAtOf(0), bytes, this.lastBeforeOf(0));
  }

  /** Only at recovery, in order. */
  restore(page: StreamPage): void {
    this.pages.push(page);
    this.#size += page.size;
  }

  /** The last part that begins before this time, or the first. There is one. */
  before(storedAt: number): number {
    let low = 0;
    let high = this.#size - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.storedAtOf(middle) < storedAt) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #pageOf(at: number): StreamPage {
    return this.pages[Math.floor(at / PARTS_PER_PAGE)]!;
  }
}
