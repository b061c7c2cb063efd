/** When the delayed messages of all queues are due: one heap, and one timer for the next of them. */
import type { Clock, Timer } from '../clock.ts';
import { DueHeap } from './due-heap.ts';
import type { LocalQueue } from './queue.ts';

/** Made ready in one turn of the event loop. */
const TURN_MESSAGES = 1000;
/** Looked at in one turn, to forget those that are gone. */
const SWEEP_ENTRIES = 2000;
/** The longest that the timer waits: a clock that is set forward is noticed by then. */
const MOST_WAIT_MS = 10_000;
/** Entries whose message is gone that are borne in any case. */
const LEAST_STALE = 1000;
/** The most that the journal is told of one that is due. */
const NOTE_BYTES = 25;

export class DueTimes {
  readonly #clock: Clock;
  readonly #queueOf: (id: number) => LocalQueue | undefined;
  readonly #hasSpace: (bytes: number) => boolean;
  readonly #madeReady: () => void;
  readonly #heap = new DueHeap();
  /** Entries whose message is gone. */
  #stale = 0;
  #sweeping = false;
  #timer: Timer | null = null;
  #timerAt = Infinity;
  #running = false;
  /** More is due than the disk has space to note. */
  #held = false;
  #started = false;
  #stopped = false;

  /**
   * `hasSpace` says whether the journal takes so many bytes of what is due, `madeReady` is called after each turn's messages became
   * ready.
   */
  constructor(
    clock: Clock,
    queueOf: (id: number) => LocalQueue | undefined,
    hasSpace: (bytes: number) => boolean,
    madeReady: () => void,
  ) {
    this.#clock = clock;
    this.#queueOf = queueOf;
    this.#hasSpace = hasSpace;
    this.#madeReady = madeReady;
  }

  /** What is remembered, some of it perhaps gone. */
  get size(): number {
    return this.#heap.size;
  }

  /** Before the start nothing is kept: that looks for itself. */
  add(dueAt: number, number: number, queue: LocalQueue): void {
    if (!this.#started) return;
    this.#heap.push(dueAt, number, queue.id);
    if (dueAt < this.#timerAt) this.#arm();
  }

  /** So many of those that were added are not to become ready any more. */
  forget(count: number): void {
    if (!this.#started) return;
    this.#stale += count;
    if (this.#sweeping || !this.#isStale) return;
    this.#sweeping = true;
    this.#clock.defer(() => this.#sweep(this.#heap.size));
  }

  get #isStale(): boolean {
    return this.#stale >= LEAST_STALE && this.#stale * 2 >= this.#heap.size;
  }

  #sweep(below: number): void {
    const before = this.#heap.size;
    const next = this.#heap.sweep(below, SWEEP_ENTRIES, (low, id) => {
      const messages = this.#queueOf(id)?.delayed.messages;
      return messages?.find(messages.fullNumber(low)) === true;
    });
    this.#stale -= before - this.#heap.size;
    this.#sweeping = !this.#stopped && next > 0;
    if (this.#sweeping) this.#clock.defer(() => this.#sweep(next));
  }

  /** At the start of the engine. Resolves when what was due already is ready. */
  async start(queues: Iterable<LocalQueue>): Promise<void> {
    for (const queue of queues) {
      for (const page of queue.delayed.messages.pages) {
        for (let at = 0; at < page.size; at++)
          if (!page.isGone(at)) this.#heap.push(page.dueAtOf(at), page.numberOf(at), queue.id);
      }
    }
    this.#started = true;
    while (!this.#stopped && this.#takeDue()) await new Promise<void>((resolve) => this.#clock.defer(resolve));
    this.#arm();
  }

  /** The journal may have space again. */
  resume(): void {
    if (!this.#held || !this.#hasSpace(NOTE_BYTES)) return;
    this.#held = false;
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(): void {
    const { dueAt } = this.#heap;
    if (this.#stopped || this.#running || this.#held || dueAt === Infinity) return;
    this.#timer?.cancel();
    this.#timerAt = dueAt;
    const waitMs = Math.max(1, dueAt - this.#clock.now());
    this.#timer = this.#clock.after(Math.min(waitMs, MOST_WAIT_MS), () => this.#turn());
  }

  #turn(): void {
    if (this.#stopped) return;
    this.#timer = null;
    this.#timerAt = Infinity;
    this.#running = this.#takeDue();
    this.#madeReady();
    if (this.#running) this.#clock.defer(() => this.#turn());
    else this.#arm();
  }

  /** Makes ready what is due, as much as one turn and the disk may take. True: there is more, and space to note it. */
  #takeDue(): boolean {
    const heap = this.#heap;
    const now = this.#clock.now();
    const due = new Map<LocalQueue, number[]>();
    let taken = 0;
    for (; heap.dueAt <= now && taken < TURN_MESSAGES; taken++) {
      // The disk is full, and what is left is for settlements: behind what has no space nothing is ever written.
      this.#held = !this.#hasSpace((taken + 1) * NOTE_BYTES);
      if (this.#held) break;
      const queue = this.#queueOf(heap.queue);
      const number = queue?.delayed.messages.fullNumber(heap.number) ?? 0;
      heap.pop();
      if (queue?.delayed.messages.find(number) !== true) {
        this.#stale--;
        continue;
      }
      const numbers = due.get(queue);
      if (numbers === undefined) due.set(queue, [number]);
      else numbers.push(number);
    }
    for (const [queue, numbers] of due) queue.delayed.becomeReady(numbers);
    return !this.#held && heap.dueAt <= now;
  }
}
