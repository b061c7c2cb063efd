/**
 * A page of delayed messages in typed words, five a message, ascending by number:
 *
 *   due at, low 32 bits | due at, high 24 bits, and the priority above | segment |
 *   offset of the run in it, and flags in its low bits (1 = expires, 2 = gone: due, cancelled or deleted) | body bytes
 *
 * and one more, the number minus the page's first, once they do not follow each other any more.
 *
 * It is also the unit that a checkpoint writes when it changed. Which messages are gone by then stands beside the pointer to it, a bit
 * each, so that messages that become due do not have their page written again.
 */
import type { EntryReader, EntryWriter } from './journal/directory.ts';

const MESSAGES_PER_PAGE = 512;
const WORDS = 5;
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
  /** Minus the first; null: they follow each other. */
  #numbers: Uint32Array | null = null;

  /** `filled`: it is about to be, since many more wait. */
  constructor(first: number, filled = false) {
    this.first = first;
    if (filled) this.#grow(MESSAGES_PER_PAGE);
  }

  numberOf(at: number): number {
    return this.first + (this.#numbers === null ? at : this.#numbers[at]!);
  }

  dueAtOf(at: number): number {
    return this.#words[at * WORDS]! + (this.#words[at * WORDS + 1]! & HIGH_MASK) * LOW;
  }

  priorityOf(at: number): number {
    return this.#words[at * WORDS + 1]! >>> 24;
  }

  segmentOf(at: number): number {
    return this.#words[at * WORDS + 2]!;
  }

  offsetOf(at: number): number {
    return (this.#words[at * WORDS + 3]! & ~FLAGS) >>> 0;
  }

  expires(at: number): boolean {
    return (this.#words[at * WORDS + 3]! & EXPIRES) !== 0;
  }

  isGone(at: number): boolean {
    return (this.#words[at * WORDS + 3]! & GONE) !== 0;
  }

  bytesOf(at: number): number {
    return this.#words[at * WORDS + 4]!;
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
    if (at === this.#words.length) this.#grow(Math.min(MESSAGES_PER_PAGE, Math.max(4, this.size * 4)));
    const words = this.#words;
    words[at] = dueAt % LOW;
    words[at + 1] = Math.floor(dueAt / LOW) | (priority << 24);
    words[at + 2] = segment;
    words[at + 3] = offset | (expires ? EXPIRES : 0);
    words[at + 4] = bodyBytes;
    if (this.#numbers === null && number !== this.first + this.size) this.#spread(this.size);
    if (this.#numbers !== null) this.#numbers[this.size] = number - this.first;
    this.size++;
    this.alive++;
    this.stored = null;
  }

  /** Where the message with the number stands; -1: it is not here, or gone. */
  find(number: number): number {
    const numbers = this.#numbers;
    const wanted = number - this.first;
    if (!Number.isInteger(wanted)) return -1;
    if (numbers === null) return wanted >= 0 && wanted < this.size && !this.isGone(wanted) ? wanted : -1;
    let low = 0;
    let high = this.size - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (numbers[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return low < this.size && numbers[low] === wanted && !this.isGone(low) ? low : -1;
  }

  remove(at: number): void {
    this.#words[at * WORDS + 3]! |= GONE;
    this.alive--;
  }

  relocate(at: number, segment: number, offset: number): void {
    this.#words[at * WORDS + 2] = segment;
    this.#words[at * WORDS + 3] = offset | (this.#words[at * WORDS + 3]! & FLAGS);
    this.stored = null;
  }

  /** Most of it is gone: it is worth the while to `condense` it. */
  get isSparse(): boolean {
    return this.size >= LEAST_CONDENSED && this.alive * 4 <= this.size;
  }

  /** Forgets what is gone. */
  condense(): void {
    const words = new Uint32Array(this.alive * WORDS);
    const numbers = new Uint32Array(this.alive);
    let to = 0;
    for (let at = 0; at < this.size; at++) {
      if (this.isGone(at)) continue;
      words.set(this.#words.subarray(at * WORDS, (at + 1) * WORDS), to * WORDS);
      numbers[to++] = this.numberOf(at) - this.first;
    }
    this.#words = words;
    this.#numbers = numbers;
    this.size = this.alive;
    this.stored = null;
  }

  /** Takes over the messages of the page behind this one, if both are so small that it is worth the while. */
  absorb(next: DelayedPage): boolean {
    if (this.size + next.size > MESSAGES_PER_PAGE / 4 || next.last - this.first >= LOW) return false;
    this.#spread(this.size);
    this.#grow(this.size + next.size);
    this.#words.set(next.#words.subarray(0, next.size * WORDS), this.size * WORDS);
    for (let at = 0; at < next.size; at++) this.#numbers![this.size + at] = next.numberOf(at) - this.first;
    this.size += next.size;
    this.alive += next.alive;
    this.stored = null;
    return true;
  }

  /** f64 first, u32 messages, the words of each; u32 how many numbers stand behind them (all, or none where they follow each other), and these. */
  write(writer: EntryWriter): void {
    writer.f64(this.first);
    writer.u32(this.size);
    writer.bytes(Buffer.from(this.#words.buffer, 0, this.size * WORDS * 4));
    writer.u32(this.#numbers === null ? 0 : this.size);
    if (this.#numbers !== null) writer.bytes(Buffer.from(this.#numbers.buffer, 0, this.size * 4));
  }

  static read(reader: EntryReader): DelayedPage {
    const page = new DelayedPage(reader.f64());
    page.size = reader.u32();
    page.#words = new Uint32Array(page.size * WORDS);
    new Uint8Array(page.#words.buffer).set(reader.bytes(page.#words.byteLength));
    const numbers = reader.u32();
    if (numbers > 0) {
      page.#numbers = new Uint32Array(numbers);
      new Uint8Array(page.#numbers.buffer).set(reader.bytes(numbers * 4));
    }
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
    const grown = new Uint32Array(messages * WORDS);
    grown.set(this.#words.subarray(0, this.size * WORDS));
    this.#words = grown;
    if (this.#numbers !== null) this.#spread(messages);
  }

  /** The numbers need not follow each other any more. */
  #spread(messages: number): void {
    const numbers = new Uint32Array(Math.max(messages, this.#words.length / WORDS));
    for (let at = 0; at < this.size; at++) numbers[at] = this.numberOf(at) - this.first;
    this.#numbers = numbers;
  }
}
