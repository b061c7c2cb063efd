/**
 * Where the delayed messages of `memory:` lie: in blocks of their own, since one that waits for days would keep the whole block that it was published in.
 * Nor does it keep one of these: what waits in a block most of which is gone is moved together.
 */
import type { Clock, Timer } from '../clock.ts';
import type { LocalQueue } from './queue.ts';
import type { Segment } from './segments.ts';
import type { Block, Window } from './window.ts';

/** So often blocks are looked at from which something went. */
const TIDY_MS = 5000;
/** What waits in a block is moved once it is no more than this part of it. */
const SPARSE_SHARE = 1 / 4;

/** A message by its number among the queue's delayed ones. */
interface Owner {
  readonly queue: LocalQueue;
  readonly number: number;
}

interface DelayedBlock {
  readonly segment: Segment;
  readonly block: Block;
  /** What lived in it when it was looked at. */
  seen: number;
}

/** What a block says of a run, before it: u32 owners, u32 length of the run; u32 queue, f64 number of each; zeros to a multiple of 8. */
const HEAD_BYTES = 8;
const OWNER_BYTES = 12;

interface Host {
  newSegment(): Segment;
  seal(segment: Segment): void;
  queueOf(id: number): LocalQueue | undefined;
}

export class DelayedBlocks {
  readonly #clock: Clock;
  readonly #window: Window;
  readonly #host: Host;
  #current: DelayedBlock | null = null;
  #full: DelayedBlock[] = [];
  #timer: Timer | null = null;
  #stopped = false;

  constructor(clock: Clock, window: Window, host: Host) {
    this.#clock = clock;
    this.#window = window;
    this.#host = host;
  }

  /** Copies a run. Returns where it lies now. */
  put(
    buffer: Buffer,
    start: number,
    length: number,
    owners: readonly Owner[],
  ): { readonly segment: number; readonly offset: number } {
    const head = HEAD_BYTES + ((OWNER_BYTES * owners.length + 7) & ~7);
    const { segment, block } = this.#withRoom(head + length);
    let at = block.used;
    block.view.setUint32(at, owners.length, true);
    block.view.setUint32(at + 4, length, true);
    at += HEAD_BYTES;
    for (const { queue, number } of owners) {
      block.view.setUint32(at, queue.id, true);
      block.view.setFloat64(at + 4, number, true);
      at += OWNER_BYTES;
    }
    const offset = block.used + head;
    buffer.copy(block.buffer, offset, start, start + length);
    block.used = offset + length;
    return { segment: segment.id, offset };
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #withRoom(bytes: number): DelayedBlock {
    const full = this.#current;
    if (full !== null && full.block.used + bytes <= full.block.buffer.length) return full;
    const segment = this.#host.newSegment();
    this.#current = { segment, block: this.#window.open(segment.id, 0, bytes), seen: Infinity };
    if (full !== null) {
      this.#full.push(full);
      this.#host.seal(full.segment);
      this.#arm();
    }
    return this.#current;
  }

  #arm(): void {
    if (this.#stopped || this.#timer !== null || this.#full.length === 0) return;
    this.#timer = this.#clock.after(TIDY_MS, () => {
      this.#full = this.#full.filter(({ block }) => block.live);
      this.#tidy([...this.#full]);
    });
  }

  /** One block a turn. */
  #tidy(left: DelayedBlock[]): void {
    if (this.#stopped) return;
    for (let one = left.pop(); one !== undefined; one = left.pop()) {
      if (!one.block.live || one.seen === one.segment.alive) continue;
      one.seen = one.segment.alive;
      this.#look(one);
      this.#clock.defer(() => this.#tidy(left));
      return;
    }
    this.#timer = null;
    this.#arm();
  }

  #look({ segment, block }: DelayedBlock): void {
    const waiting: { readonly offset: number; readonly length: number; readonly owners: Owner[] }[] = [];
    let count = 0;
    let bytes = 0;
    const { view, used } = block;
    for (let at = 0; at < used;) {
      const all = view.getUint32(at, true);
      const length = view.getUint32(at + 4, true);
      const offset = at + HEAD_BYTES + ((OWNER_BYTES * all + 7) & ~7);
      const owners: Owner[] = [];
      for (let n = 0; n < all; n++) {
        const from = at + HEAD_BYTES + n * OWNER_BYTES;
        const queue = this.#host.queueOf(view.getUint32(from, true));
        const number = view.getFloat64(from + 4, true);
        if (queue?.delayed.liesAt(number, segment.id, offset) === true) owners.push({ queue, number });
      }
      if (owners.length > 0) {
        waiting.push({ offset, length, owners });
        count += owners.length;
        bytes += offset + length - at;
      }
      at = offset + length;
    }
    // What is ready keeps its block in any case, as what was never delayed does.
    if (count < segment.alive || bytes > block.buffer.length * SPARSE_SHARE) return;
    for (const { offset, length, owners } of waiting) {
      const place = this.put(block.buffer, offset, length, owners);
      for (const { queue, number } of owners) queue.delayed.relocate(number, place.segment, place.offset);
    }
  }
}
