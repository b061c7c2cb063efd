/**
 * The messages of one queue that are not due yet, by number: when each is due, and where it lies. They have numbers of their own
 * (1, 2, 3, ... in the order of their appends), and get one of the queue's when they are due. 20 bytes a message, and nothing is an object each.
 */
import { DelayedPage } from './delayed-page.ts';

export class DelayedMessages {
  /** Number of the next one. */
  next = 1;
  count = 0;
  /** Where `find` found a message. */
  page: DelayedPage | null = null;
  at = 0;
  readonly #pages: DelayedPage[] = [];
  #index = 0;

  /** Ascending by number. Each has a message that is still waiting. */
  get pages(): readonly DelayedPage[] {
    return this.#pages;
  }

  /** `dueAt` in whole milliseconds. Returns its number. */
  append(
    dueAt: number,
    priority: number,
    segment: number,
    offset: number,
    expires: boolean,
    bodyBytes: number,
  ): number {
    const number = this.next++;
    let page = this.#pages[this.#pages.length - 1];
    if (page?.takes(number) !== true) {
      page = new DelayedPage(number, page !== undefined);
      this.#pages.push(page);
    }
    page.append(number, dueAt, priority, segment, offset, expires, bodyBytes);
    this.count++;
    return number;
  }

  /** Of a message that waits, whose number has these low 32 bits. */
  fullNumber(low: number): number {
    const last = this.next - 1;
    return last - (((last >>> 0) - low) >>> 0);
  }

  /** Puts `page` and `at` on the message. False: it is not waiting. */
  find(number: number): boolean {
    const pages = this.#pages;
    let low = 0;
    let high = pages.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (pages[middle]!.last < number) low = middle + 1;
      else high = middle;
    }
    const page = pages[low];
    if (page === undefined || number < page.first) return false;
    const at = page.find(number);
    if (at < 0) return false;
    this.page = page;
    this.at = at;
    this.#index = low;
    return true;
  }

  /** Forgets the message that `find` found. */
  remove(): void {
    const pages = this.#pages;
    const page = this.page!;
    const index = this.#index;
    page.remove(this.at);
    this.page = null;
    this.count--;
    if (page.alive === 0) {
      pages.splice(index, 1);
      return;
    }
    if (!page.isSparse) return;
    page.condense();
    const before = pages[index - 1];
    const behind = pages[index + 1];
    if (before?.absorb(page) === true) pages.splice(index, 1);
    else if (behind !== undefined && page.absorb(behind)) pages.splice(index + 1, 1);
  }

  /** Only at recovery, in order; one in which nothing waits is not needed. */
  restore(page: DelayedPage): void {
    if (page.alive === 0) return;
    this.#pages.push(page);
    this.count += page.alive;
  }

  clear(): void {
    this.#pages.length = 0;
    this.page = null;
    this.count = 0;
  }
}
