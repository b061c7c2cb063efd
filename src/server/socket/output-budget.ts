/**
 * What all clients of a server together have not taken. Each alone may have `maxUnsentBytes`; where many use that, each may have no
 * more than one chunk for as long as it lasts, so that those who do read go on. A large message is more than a chunk whoever gets
 * it, so it waits for room, in turn, where all would have twice what they may.
 */
import { chunkBytes } from './output.ts';

/** Of the most that all may have: below it the narrow limit ends. */
const wideShare = 0.75;

/** What waits for room among all. */
export interface Waiting {
  readonly bytes: number;
  proceed(): void;
}

export class OutputBudget {
  /** What one client may have before its consumers stop; at twice as much reading from it does. */
  limit: number;
  readonly #wide: number;
  readonly #most: number;
  #held = 0;
  /** Large messages that were promised room and are not written yet. */
  #promised = 0;
  /** In the order in which they came. */
  readonly #waiting = new Set<Waiting>();
  #wakeDue = false;

  constructor(settings: { readonly maxUnsentBytes: number; readonly maxUnsentBytesOfAll: number }) {
    this.#wide = settings.maxUnsentBytes;
    this.#most = settings.maxUnsentBytesOfAll;
    this.limit = this.#wide;
  }

  /** The clients together have more than they may. */
  get isNarrow(): boolean {
    return this.limit < this.#wide;
  }

  get heldBytes(): number {
    return this.#held;
  }

  /** Without so many bytes of those that are held, all would have their wide limit. */
  isWideWithout(bytes: number): boolean {
    return this.#held - bytes <= wideShare * this.#most;
  }

  /** An output begins a chunk of so many bytes. */
  take(bytes = chunkBytes): void {
    this.#held += bytes;
    if (this.#held > this.#most) this.limit = Math.min(this.#wide, chunkBytes);
  }

  /** Chunks of so many bytes hold nothing any more. */
  giveBack(bytes = chunkBytes): void {
    this.#held -= bytes;
    if (this.isWideWithout(0)) this.limit = this.#wide;
    this.#wakeLater();
  }

  /** There is room for so much more. Where nothing is held there is room for anything, else it would never go out. */
  hasRoom(bytes: number): boolean {
    return this.#held === 0 || this.#held + this.#promised + bytes <= 2 * this.#most;
  }

  promise(bytes: number): void {
    this.#promised += bytes;
  }

  /** It was written, or will never be. */
  keep(bytes: number): void {
    this.#promised -= bytes;
    this.#wakeLater();
  }

  /** Proceeds in its turn, in a turn of the event loop of its own, once there is room. */
  wait(waiting: Waiting): void {
    this.#waiting.add(waiting);
    this.#wakeLater();
  }

  /** It does not wait any more. */
  forget(waiting: Waiting): void {
    this.#waiting.delete(waiting);
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  #wakeLater(): void {
    if (this.#waiting.size === 0 || this.#wakeDue) return;
    this.#wakeDue = true;
    setImmediate(() => this.#wake());
  }

  #wake(): void {
    this.#wakeDue = false;
    // Who is refused again stands behind the others, and waits for the next that is given back.
    let left = this.#waiting.size;
    for (const waiting of this.#waiting) {
      if (left-- === 0 || !this.hasRoom(waiting.bytes)) return;
      this.#waiting.delete(waiting);
      waiting.proceed();
    }
  }
}
