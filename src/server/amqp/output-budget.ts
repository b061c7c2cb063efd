/**
 * What all clients of a server together have not taken. Each alone may have `maxUnsentBytes`; where many use that, each may have no
 * more than one chunk for as long as it lasts, so that those who do read go on.
 */
import { chunkBytes } from './output.ts';

/** Of the most that all may have: below it the narrow limit ends. */
const wideShare = 0.75;

export class OutputBudget {
  /** What one client may have before its consumers stop; at twice as much reading from it does. */
  limit: number;
  readonly #wide: number;
  readonly #most: number;
  #held = 0;

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

  /** An output begins a chunk. */
  take(): void {
    this.#held += chunkBytes;
    if (this.#held > this.#most) this.limit = Math.min(this.#wide, chunkBytes);
  }

  /** So many chunks hold nothing any more. */
  giveBack(chunks: number): void {
    this.#held -= chunks * chunkBytes;
    if (this.isWideWithout(0)) this.limit = this.#wide;
  }
}
