/**
 * Hot path. Which numbers of a queue are held, and by whom, and which are settled, between the queue's floor (all below is
 * settled) and its highest number seen here. Kept in pages of typed arrays; what lies wholly settled between two of them is one range,
 * so a message that stays held for days costs nothing but its page.
 *
 * A number's owner: 0 nobody (ready), SETTLED, or the id of the lease that holds it.
 */
import { IndexRanges } from './index-ranges.ts';

const PAGE_SHIFT = 8;
const PAGE_SIZE = 1 << PAGE_SHIFT;
const PAGE_MASK = PAGE_SIZE - 1;
const SETTLED = 0xffff_ffff;
/** Of a range that is noted: its count has 32 bits. */
const MOST_COUNT = 0xffff_ffff;
const MOST_PAGES = Math.floor(MOST_COUNT / PAGE_SIZE);

class Page {
  readonly owners = new Uint32Array(PAGE_SIZE);
  /** Body bytes of each held message. */
  readonly lengths = new Uint32Array(PAGE_SIZE);
  settled = 0;
  held = 0;
}

/** Stands for a page in which everything is settled. */
const DONE = new Page();

const pool: Page[] = [];

function takePage(): Page {
  return pool.pop() ?? new Page();
}

function dropPage(page: Page): void {
  if (pool.length >= 64) return;
  page.owners.fill(0);
  page.settled = 0;
  page.held = 0;
  pool.push(page);
}

export class HeldWindow {
  /** Every number below is settled. */
  floor: number;
  held = 0;
  /** Body bytes of what the last call settled or gave back. */
  lastBytes = 0;
  readonly #pages = new Map<number, Page>();
  /** Pages in which everything is settled. */
  readonly #done = new IndexRanges();
  #lastIndex = -1;
  #lastPage: Page = DONE;

  constructor(floor: number) {
    this.floor = floor;
  }

  hold(number: number, lease: number, bodyBytes: number): void {
    const page = this.#page(number);
    const at = number & PAGE_MASK;
    page.owners[at] = lease;
    page.lengths[at] = bodyBytes;
    page.held++;
    this.held++;
  }

  /** How many numbers from `first` on, at most `count`, this lease holds without a gap. */
  heldFrom(first: number, count: number, lease: number): number {
    let number = first;
    const end = first + count;
    while (number < end) {
      const page = this.#find(number);
      if (page === undefined || page === DONE || page.owners[number & PAGE_MASK] !== lease) break;
      number++;
    }
    return number - first;
  }

  /** Settles numbers that are held; `heldFrom` said so. */
  settleHeld(first: number, count: number): void {
    let bytes = 0;
    const end = first + count;
    let number = first;
    while (number < end) {
      const page = this.#page(number);
      const stop = Math.min(end, number - (number & PAGE_MASK) + PAGE_SIZE);
      const { owners, lengths } = page;
      for (let at = number & PAGE_MASK, n = number; n < stop; n++, at++) {
        owners[at] = SETTLED;
        bytes += lengths[at]!;
      }
      page.settled += stop - number;
      page.held -= stop - number;
      number = stop;
      if (page.settled === PAGE_SIZE) this.#finish(stop - 1);
    }
    this.held -= count;
    this.lastBytes = bytes;
    if (first <= this.floor) this.#advance();
  }

  /** Settles numbers that nobody holds (recovery, purge, removal by the engine itself); those settled already stay so. Returns how many were not. */
  settleReady(first: number, count: number): number {
    const end = first + count;
    let number = Math.max(first, this.floor);
    let fresh = 0;
    while (number < end) {
      const found = this.#find(number);
      const stop = this.#stop(number, end, found);
      if (found === DONE) {
        number = stop;
        continue;
      }
      if (found === undefined && stop - number === PAGE_SIZE) {
        this.#done.add(number / PAGE_SIZE);
        fresh += PAGE_SIZE;
        number = stop;
        continue;
      }
      const page = this.#page(number);
      for (; number < stop; number++) {
        const at = number & PAGE_MASK;
        if (page.owners[at] === SETTLED) continue;
        page.owners[at] = SETTLED;
        page.settled++;
        fresh++;
      }
      if (page.settled === PAGE_SIZE) this.#finish(stop - 1);
    }
    if (first <= this.floor) this.#advance();
    return fresh;
  }

  /** At recovery, before anything else. */
  restoreFloor(floor: number): void {
    this.floor = floor;
  }

  /** How many of these numbers are settled. */
  settledIn(first: number, count: number): number {
    const end = first + count;
    if (end <= this.floor) return count;
    let settled = Math.max(0, this.floor - first);
    let number = Math.max(first, this.floor);
    while (number < end) {
      const page = this.#find(number);
      const stop = this.#stop(number, end, page);
      if (page === DONE) settled += stop - number;
      else if (page !== undefined)
        for (let n = number; n < stop; n++) if (page.owners[n & PAGE_MASK] === SETTLED) settled++;
      number = stop;
    }
    return settled;
  }

  /** Ranges of these numbers that are not settled: first and count each. */
  living(first: number, count: number): (readonly [first: number, count: number])[] {
    const ranges: [number, number][] = [];
    const end = first + count;
    let number = Math.max(first, this.floor);
    const add = (from: number, n: number): void => {
      const last = ranges[ranges.length - 1];
      if (last !== undefined && last[0] + last[1] === from) last[1] += n;
      else ranges.push([from, n]);
    };
    while (number < end) {
      const page = this.#find(number);
      const stop = this.#stop(number, end, page);
      if (page === undefined) add(number, stop - number);
      else if (page !== DONE) for (let n = number; n < stop; n++) if (page.owners[n & PAGE_MASK] !== SETTLED) add(n, 1);
      number = stop;
    }
    return ranges;
  }

  /** Body bytes of a message that somebody holds. */
  bytesOf(number: number): number {
    return this.#page(number).lengths[number & PAGE_MASK]!;
  }

  /** The message is ready again. Returns its body bytes. */
  giveBack(number: number): number {
    const page = this.#page(number);
    const at = number & PAGE_MASK;
    page.owners[at] = 0;
    page.held--;
    this.held--;
    return page.lengths[at]!;
  }

  isSettled(number: number): boolean {
    if (number < this.floor) return true;
    const page = this.#find(number);
    return page !== undefined && (page === DONE || page.owners[number & PAGE_MASK] === SETTLED);
  }

  /** 0 when nobody holds it. */
  holder(number: number): number {
    const page = this.#find(number);
    if (number < this.floor || page === undefined || page === DONE) return 0;
    const owner = page.owners[number & PAGE_MASK]!;
    return owner === SETTLED ? 0 : owner;
  }

  /** Numbers held under the lease, or by anyone with `lease` 0, lowest first. */
  heldBy(lease: number): number[] {
    const numbers: number[] = [];
    for (const [index, page] of this.#pages) {
      if (page.held === 0) continue;
      for (let at = 0; at < PAGE_SIZE; at++) {
        const owner = page.owners[at]!;
        if (owner !== 0 && owner !== SETTLED && (lease === 0 || owner === lease)) numbers.push(index * PAGE_SIZE + at);
      }
    }
    return numbers.sort((a, b) => a - b);
  }

  /** Settled ranges above the floor, lowest first: pairs of first and count. */
  settledRanges(): number[] {
    const parts: [first: number, count: number][] = [];
    for (const [first, end] of this.#done.ranges()) {
      for (let index = first; index < end; index += MOST_PAGES)
        parts.push([index * PAGE_SIZE, Math.min(MOST_PAGES, end - index) * PAGE_SIZE]);
    }
    for (const [index, page] of this.#pages) {
      if (page.settled === 0) continue;
      const base = index * PAGE_SIZE;
      for (let at = Math.max(0, this.floor - base); at < PAGE_SIZE; at++) {
        if (page.owners[at] !== SETTLED) continue;
        const from = at;
        while (at < PAGE_SIZE && page.owners[at] === SETTLED) at++;
        parts.push([base + from, at - from]);
      }
    }
    const ranges: number[] = [];
    for (const [first, count] of parts.sort((a, b) => a[0] - b[0])) {
      const end = ranges.length;
      const joins = end > 0 && ranges[end - 2]! + ranges[end - 1]! === first && ranges[end - 1]! + count <= MOST_COUNT;
      if (joins) ranges[end - 1]! += count;
      else ranges.push(first, count);
    }
    return ranges;
  }

  #find(number: number): Page | undefined {
    const index = Math.floor(number / PAGE_SIZE);
    if (index === this.#lastIndex) return this.#lastPage;
    let page = this.#pages.get(index);
    if (page === undefined && index < this.#done.end && this.#done.has(index)) page = DONE;
    if (page !== undefined) {
      this.#lastIndex = index;
      this.#lastPage = page;
    }
    return page;
  }

  /** One past the last number, up to `end`, in the page of this one, or in the range of pages that are settled with it. */
  #stop(number: number, end: number, page: Page | undefined): number {
    const index = Math.floor(number / PAGE_SIZE);
    return Math.min(end, (page === DONE ? this.#done.endOf(index) : index + 1) * PAGE_SIZE);
  }

  #page(number: number): Page {
    const found = this.#find(number);
    if (found !== undefined) return found;
    const index = Math.floor(number / PAGE_SIZE);
    const page = takePage();
    // What lies below the floor in the floor's own page is settled.
    const base = index * PAGE_SIZE;
    if (base < this.floor) {
      const below = this.floor - base;
      page.owners.fill(SETTLED, 0, below);
      page.settled = below;
    }
    this.#pages.set(index, page);
    this.#lastIndex = index;
    this.#lastPage = page;
    return page;
  }

  /** The page of this number is wholly settled. */
  #finish(number: number): void {
    const index = Math.floor(number / PAGE_SIZE);
    const page = this.#pages.get(index)!;
    this.#lastIndex = -1;
    this.#pages.delete(index);
    this.#done.add(index);
    dropPage(page);
  }

  #advance(): void {
    let floor = this.floor;
    for (;;) {
      const page = this.#find(floor);
      if (page === undefined) break;
      if (page === DONE) {
        const end = this.#done.endOf(Math.floor(floor / PAGE_SIZE));
        this.#done.dropBelow(end);
        this.#lastIndex = -1;
        floor = end * PAGE_SIZE;
        continue;
      }
      if (page.owners[floor & PAGE_MASK] !== SETTLED) break;
      floor++;
    }
    this.floor = floor;
    if (this.held === 0) this.#dropIdle();
  }

  /** An idle queue keeps no page: its floor says it all. */
  #dropIdle(): void {
    const index = Math.floor(this.floor / PAGE_SIZE);
    const page = this.#pages.get(index);
    if (page === undefined || page.settled !== (this.floor & PAGE_MASK)) return;
    this.#pages.delete(index);
    this.#lastIndex = -1;
    dropPage(page);
  }
}
