/**
 * A page of delayed messages in typed words, six a message, ascending by number:
 *
 *   number minus the page's first | due at, low 32 bits | due at, high 24 bits, and the priority above | segment |
 *   offset of the run in it, and flags in its low bits (1 = expires, 2 = gone: due, cancelled or deleted) | body bytes
 *
 * It is also the unit that a checkpoint writes when it changed. Which messages are gone by then stands beside the pointer to it, a bit
 * each, so that messages that become due do not have their page written again.
 */
import type { EntryReader, EntryWriter } from './journal/directory.ts';

const MESSAGES_PER_PAGE = 512;
const WORDS = 6;
const EXPIRES = 1;
const GONE = 2;
const FLAGS = 7;
const LOW = 0x1_0000_0000;
const HIGH_MASK = 0xff_ffff;
const NO_WORDS = new Uint32Array(0);
/** A page that small is left as it is, whatever of it is gone. */
const LEAST_CONDENSED = 8;

export class DelayedPage {
  readonly first: number;
  /** Messages in it, those that are gone included. */
  size = 0;
  alive = 0;
  /** Where the newest checkpoint that has this page keeps it; null: changed since. Owned by journal/checkpoint. */
  stored: unknown = null;
  #words: Uint32Array = NO_WORDS;

  constructor(first: number) {
    this.first = first;
  }

  numberOf(at: number): number {
    return this.first + this.#words[at * WORDS]!;
  }

  dueAtOf(at: number): number {
    return this.#words[at * WORDS + 1]! + (this.#words[at * WORDS + 2]! & HIGH_MASK) * LOW;
  }

  priorityOf(at: number): number {
    return this.#words[at * WORDS + 2]! >>> 24;
  }

  segmentOf(at: number): number {
    return this.#words[at * WORDS + 3]!;
  }

  offsetOf(at: number): number {
    return (this.#words[at * WORDS + 4]! & ~FLAGS) >>> 0;
  }

  expires(at: number): boolean {
    return (this.#words[at * WORDS + 4]! & EXPIRES) !== 0;
  }

  isGone(at: number): boolean {
    return (this.#words[at * WORDS + 4]! & GONE) !== 0;
  }

  bytesOf(at: number): number {
    return this.#words[at * WORDS + 5]!;
  }

  /** Number of the last message in it. */
  get last(): number {
    return this.numberOf(this.size - 1);
  }

  takes(number: number): boolean {
    return this.size < MESSAGES_PER_PAGE && number - this.first < LOW;
  }

  append(
    number: number,
    dueAt: number,
    priority: number,
    segment: number,
    offset: number,
    expires: boolean,
    bodyBytes: number,
  ): void {
    const at = this.size * WORDS;
    if (at === this.#words.length) this.#grow(this.size + 1);
    const words = this.#words;
    words[at] = number - this.first;
    words[at + 1] = dueAt % LOW;
    words[at + 2] = Math.floor(dueAt / LOW) | (priority << 24);
    words[at + 3] = segment;
    words[at + 4] = offset | (expires ? EXPIRES : 0);
    words[at + 5] = bodyBytes;
    this.size++;
    this.alive++;
    this.stored = null;
  }

  /** Where the message with the number stands; -1: it is not here, or gone. */
  find(number: number): number {
    const words = this.#words;
    const wanted = number - this.first;
    let low = 0;
    let high = this.size - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (words[middle * WORDS]! < wanted) low = middle + 1;
      else high = middle;
    }
    return low < this.size && words[low * WORDS] === wanted && !this.isGone(low) ? low : -1;
  }

  remove(at: number): void {
    this.#words[at * WORDS + 4]! |= GONE;
    this.alive--;
  }

  relocate(at: number, segment: number, offset: number): void {
    this.#words[at * WORDS + 3] = segment;
    this.#words[at * WORDS + 4] = offset | (this.#words[at * WORDS + 4]! & FLAGS);
    this.stored = null;
  }

  /** Most of it is gone: it is worth the while to `condense` it. */
  get isSparse(): boolean {
    return this.size >= LEAST_CONDENSED && this.alive * 4 <= this.size;
  }

  /** Forgets what is gone. */
  condense(): void {
    const words = new Uint32Array(this.alive * WORDS);
    let to = 0;
    for (let at = 0; at < this.size; at++) {
      if (this.isGone(at)) continue;
      words.set(this.#words.subarray(at * WORDS, (at + 1) * WORDS), to);
      to += WORDS;
    }
    this.#words = words;
    this.size = this.alive;
    this.stored = null;
  }

  /** Takes over the messages of the page behind this one, if both are so small that it is worth the while. */
  absorb(next: DelayedPage): boolean {
    if (this.size + next.size > MESSAGES_PER_PAGE / 4 || next.last - this.first >= LOW) return false;
    this.#grow(this.size + next.size);
    for (let at = 0; at < next.size; at++) {
      const to = (this.size + at) * WORDS;
      this.#words.set(next.#words.subarray(at * WORDS, (at + 1) * WORDS), to);
      this.#words[to] = next.numberOf(at) - this.first;
    }
    this.size += next.size;
    this.alive += next.alive;
    this.stored = null;
    return true;
  }

  /** f64 first, u32 messages, and the words of each. */
  write(writer: EntryWriter): void {
    writer.f64(this.first);
    writer.u32(this.size);
    const { buffer, byteOffset } = this.#words;
    writer.bytes(Buffer.from(buffer, byteOffset, this.size * WORDS * 4));
  }

  static read(reader: EntryReader): DelayedPage {
    const page = new DelayedPage(reader.f64());
    page.size = reader.u32();
    page.#words = new Uint32Array(page.size * WORDS);
    new Uint8Array(page.#words.buffer).set(reader.bytes(page.#words.byteLength));
    for (let at = 0; at < page.size; at++) if (!page.isGone(at)) page.alive++;
    return page;
  }

  /** u32 length (0: none is gone), and as many bytes: a bit for each message, the lowest first, set where it is gone. */
  writeGone(writer: EntryWriter): void {
    if (this.alive === this.size) {
      writer.u32(0);
      return;
    }
    const bits = Buffer.alloc((this.size + 7) >> 3);
    for (let at = 0; at < this.size; at++) if (this.isGone(at)) bits[at >> 3]! |= 1 << (at & 7);
    writer.u32(bits.length);
    writer.bytes(bits);
  }

  readGone(reader: EntryReader): void {
    const bits = reader.bytes(reader.u32());
    for (let at = 0; at < bits.length * 8 && at < this.size; at++)
      if ((bits[at >> 3]! & (1 << (at & 7))) !== 0 && !this.isGone(at)) this.remove(at);
  }

  #grow(messages: number): void {
    const most = Math.max(messages, Math.min(MESSAGES_PER_PAGE, Math.max(4, this.size * 4)));
    const grown = new Uint32Array(most * WORDS);
    grown.set(this.#words.subarray(0, this.size * WORDS));
    this.#words = grown;
  }
}
