/**
 * Hot path. A page of chunks in typed words: four a chunk (first number minus the page's, segment, offset, count), or one while each chunk is
 * one message and the next one's number follows: segment minus `base` in the upper ten bits, offset / 8 in the others.
 */
import type { EntryReader, EntryWriter } from './journal/directory.ts';

const CHUNKS_PER_PAGE = 256;
const WORDS = 4;
/** As `base`: the page has four words a chunk. */
const WIDE = 0xffff_ffff;
const OFFSET_BITS = 22;
const OFFSET_MASK = (1 << OFFSET_BITS) - 1;
const MOST_SEGMENTS = 1 << (32 - OFFSET_BITS);

export class ChunkPage {
  /** Number of the page's first message. */
  readonly first: number;
  /** One past its last message's. */
  end: number;
  /** Chunks in it. */
  size = 0;
  /** Messages in it that are not settled. */
  alive = 0;
  /** Where the newest checkpoint that has this page keeps it; null: changed since. Owned by journal/checkpoint. */
  stored: unknown = null;
  /** The first chunk's segment; or WIDE. */
  #base = WIDE;
  #words: Uint32Array;

  constructor(first: number) {
    this.first = first;
    this.end = first;
    this.#words = NO_WORDS;
  }

  firstOf(chunk: number): number {
    return this.first + (this.#base === WIDE ? this.#words[chunk * WORDS]! : chunk);
  }

  segmentOf(chunk: number): number {
    return this.#base === WIDE ? this.#words[chunk * WORDS + 1]! : this.#base + (this.#words[chunk]! >>> OFFSET_BITS);
  }

  offsetOf(chunk: number): number {
    return this.#base === WIDE ? this.#words[chunk * WORDS + 2]! : (this.#words[chunk]! & OFFSET_MASK) * 8;
  }

  countOf(chunk: number): number {
    return this.#base === WIDE ? this.#words[chunk * WORDS + 3]! : 1;
  }

  append(first: number, count: number, segment: number, offset: number): void {
    if (this.size === 0) this.#base = segment;
    if (this.#base !== WIDE) {
      const beyond = segment - this.#base;
      const place = offset / 8;
      if (count === 1 && first === this.first + this.size && beyond >= 0 && beyond < MOST_SEGMENTS && isPlace(place)) {
        if (this.size === this.#words.length) this.#grow(4, 1);
        this.#words[this.size] = ((beyond << OFFSET_BITS) | place) >>> 0;
        this.#appended(first, count);
        return;
      }
      this.#widen();
    }
    const at = this.size * WORDS;
    if (at === this.#words.length) this.#grow(2, WORDS);
    this.#words[at] = first - this.first;
    this.#words[at + 1] = segment;
    this.#words[at + 2] = offset;
    this.#words[at + 3] = count;
    this.#appended(first, count);
  }

  takes(first: number): boolean {
    return this.size < CHUNKS_PER_PAGE && first - this.first <= 0xffff_ffff;
  }

  /** The same messages lie where this other page says. */
  relocate(other: ChunkPage): void {
    this.#base = other.#base;
    this.#words = other.#words;
    this.size = other.size;
    this.stored = null;
  }

  /** f64 first, f64 end, u32 chunks, u32 base, and the words of each. */
  write(writer: EntryWriter): void {
    writer.f64(this.first);
    writer.f64(this.end);
    writer.u32(this.size);
    writer.u32(this.#base);
    const { buffer, byteOffset } = this.#words;
    writer.bytes(Buffer.from(buffer, byteOffset, 4 * this.#used));
  }

  static read(reader: EntryReader): ChunkPage {
    const page = new ChunkPage(reader.f64());
    page.end = reader.f64();
    page.size = reader.u32();
    page.#base = reader.u32();
    page.#words = new Uint32Array(page.#used);
    new Uint8Array(page.#words.buffer, page.#words.byteOffset).set(reader.bytes(4 * page.#used));
    return page;
  }

  get #used(): number {
    return this.#base === WIDE ? this.size * WORDS : this.size;
  }

  #appended(first: number, count: number): void {
    this.size++;
    this.end = first + count;
    this.alive += count;
    this.stored = null;
  }

  #grow(times: number, wordsEach: number): void {
    const most = this.size < CHUNKS_PER_PAGE ? CHUNKS_PER_PAGE : Infinity;
    const grown = new Uint32Array(Math.max(16, Math.min(most, this.size * times) * wordsEach));
    grown.set(this.#words);
    this.#words = grown;
  }

  #widen(): void {
    const words = new Uint32Array(Math.max(4, this.size * 2) * WORDS);
    for (let chunk = 0; chunk < this.size; chunk++) {
      words[chunk * WORDS] = chunk;
      words[chunk * WORDS + 1] = this.segmentOf(chunk);
      words[chunk * WORDS + 2] = this.offsetOf(chunk);
      words[chunk * WORDS + 3] = 1;
    }
    this.#base = WIDE;
    this.#words = words;
  }
}

const NO_WORDS = new Uint32Array(0);

function isPlace(place: number): boolean {
  return Number.isInteger(place) && place <= OFFSET_MASK;
}
