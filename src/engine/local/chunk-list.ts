/**
 * Hot path. Where the messages of a queue lie: a list of *chunks*, each a run of neighbouring numbers stored in one run of
 * messages (run.ts). Chunks live in pages (chunk-page.ts), so memory grows with runs, not with messages, and nothing is an object
 * each; a page is also the unit that a checkpoint writes when it changed.
 *
 * Numbers only grow along the list; there may be gaps (numbers of another priority, or wholly settled pages that were dropped).
 */
import { ChunkPage } from './chunk-page.ts';

/** A place in a chunk list. */
export class ChunkCursor {
  page: ChunkPage | null = null;
  chunk = 0;
}

const scratch = new ChunkCursor();
const TOMBSTONE = new ChunkPage(0);

export class ChunkList {
  /** Dropped pages leave `#head` behind; compacted now and then. */
  #pages: ChunkPage[] = [];
  #head = 0;
  /** The page of the last look-up. */
  #hint = 0;

  get pages(): readonly ChunkPage[] {
    this.#compact();
    return this.#pages;
  }

  #compact(): void {
    if (this.#head === 0) return;
    this.#pages = this.#pages.slice(this.#head);
    this.#hint = Math.max(0, this.#hint - this.#head);
    this.#head = 0;
  }

  get isEmpty(): boolean {
    return this.#head === this.#pages.length;
  }

  append(first: number, count: number, segment: number, offset: number): void {
    let page = this.#pages[this.#pages.length - 1];
    if (page === undefined || !page.takes(first)) {
      const last = page;
      page = new ChunkPage(first);
      this.#pages.push(page);
      // While it was the newest, it stayed though nothing in it was alive.
      if (last?.alive === 0) this.#dropDead(last);
    }
    page.append(first, count, segment, offset);
  }

  /** Only at recovery, in order. */
  restore(page: ChunkPage): void {
    this.#pages.push(page);
  }

  /** Puts the cursor on the chunk that has the number, or else on the first one behind it. False: there is none. */
  seek(number: number, cursor: ChunkCursor): boolean {
    const at = this.#pageAt(number);
    const page = this.#pages[at];
    if (page === undefined) return false;
    if (page.size === 0) return false;
    let low = 0;
    let high = page.size - 1;
    // The last chunk that begins at or before the number.
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (page.firstOf(middle) <= number) low = middle;
      else high = middle - 1;
    }
    if (page.firstOf(low) + page.countOf(low) <= number) low++;
    if (low === page.size) {
      const next = this.#pages[at + 1];
      if (next === undefined) return false;
      cursor.page = next;
      cursor.chunk = 0;
      return true;
    }
    cursor.page = page;
    cursor.chunk = low;
    return true;
  }

  /** The page that has the number, or else the first one behind it. */
  pageFrom(number: number): ChunkPage | null {
    return this.#pages[this.#pageAt(number)] ?? null;
  }

  has(number: number): boolean {
    return this.seek(number, scratch) && scratch.page!.firstOf(scratch.chunk) <= number;
  }

  /** One past the number that is `count` messages on from `number`, or past the last one there is. */
  past(number: number, count: number): number {
    if (!this.seek(number, scratch)) return number;
    const pages = this.#pages;
    let at = pages.indexOf(scratch.page!, this.#hint);
    let { chunk } = scratch;
    let from = number;
    let left = count;
    for (let page = pages[at]; page !== undefined; page = pages[++at]) {
      // Behind the first page all that is not dead was never delivered.
      if (chunk === 0 && page.alive < left) {
        left -= page.alive;
        from = page.end;
        continue;
      }
      for (; chunk < page.size; chunk++) {
        const first = Math.max(from, page.firstOf(chunk));
        from = page.firstOf(chunk) + page.countOf(chunk);
        if (from - first >= left) return first + left;
        left -= from - first;
      }
      chunk = 0;
    }
    return from;
  }

  /** The ranges of numbers from `number` on that lie here: first and count each, in order. */
  *ranges(number: number): Generator<readonly [first: number, count: number]> {
    const cursor = new ChunkCursor();
    let at = number;
    while (this.seek(at, cursor)) {
      const first = Math.max(at, cursor.page!.firstOf(cursor.chunk));
      const end = cursor.page!.firstOf(cursor.chunk) + cursor.page!.countOf(cursor.chunk);
      yield [first, end - first];
      at = end;
    }
  }

  /** Counts numbers as settled. `each` is told how many lay in which segment. */
  settle(first: number, count: number, each: (segment: number, count: number) => void): void {
    let number = first;
    const end = first + count;
    while (number < end) {
      if (!this.seek(number, scratch)) return;
      const page = scratch.page!;
      const from = Math.max(number, page.firstOf(scratch.chunk));
      const stop = Math.min(end, page.firstOf(scratch.chunk) + page.countOf(scratch.chunk));
      if (from >= end) return;
      page.alive -= stop - from;
      each(page.segmentOf(scratch.chunk), stop - from);
      if (page.alive === 0) this.#dropDead(page);
      number = stop;
    }
  }

  /**
   * The run that began at number `oldFirst` was copied: what was alive of it now lies in `pieces` (first, count, segment,
   * offset each). The rest of it is settled and forgotten.
   */
  relocate(
    oldFirst: number,
    pieces: readonly (readonly [first: number, count: number, segment: number, offset: number])[],
  ): void {
    const page = this.#pages[this.#pageAt(oldFirst)];
    if (page === undefined) return;
    const moved = new ChunkPage(page.first);
    for (let chunk = 0; chunk < page.size; chunk++) {
      const first = page.firstOf(chunk);
      if (first === oldFirst)
        for (const [number, count, segment, offset] of pieces) moved.append(number, count, segment, offset);
      else moved.append(first, page.countOf(chunk), page.segmentOf(chunk), page.offsetOf(chunk));
    }
    page.relocate(moved);
    if (page.size === 0) this.#dropDead(page);
  }

  /** At recovery, when what is alive was counted. */
  dropDead(): void {
    this.#pages = this.pages.filter((page, at) => page.alive > 0 || at === this.#pages.length - 1);
    this.#hint = 0;
  }

  #dropDead(page: ChunkPage): void {
    const at = this.#pages.indexOf(page, this.#head);
    // The newest page stays: it takes what comes next.
    if (at < 0 || at === this.#pages.length - 1) return;
    if (at === this.#head) {
      this.#pages[this.#head++] = TOMBSTONE;
      if (this.#head >= 64 && this.#head * 2 >= this.#pages.length) this.#compact();
    } else {
      this.#pages.splice(at, 1);
    }
    this.#hint = this.#head;
  }

  /** Index of the page that has the number, or of the first one behind it. */
  #pageAt(number: number): number {
    const pages = this.#pages;
    const hint = this.#hint;
    if (hint >= this.#head && hint < pages.length && pages[hint]!.first <= number && number < pages[hint]!.end)
      return hint;
    let low = this.#head;
    let high = pages.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (pages[middle]!.end <= number) low = middle + 1;
      else high = middle;
    }
    this.#hint = low;
    return low;
  }
}
