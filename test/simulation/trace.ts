/**
 * The history of a simulation: every call and every outcome is folded into one hash (two runs of a seed must agree on it);
 * the last lines are kept for the report of a failure.
 */
import { crc32 } from 'node:zlib';

export class Trace {
  hash = 0;
  count = 0;
  /** Set to print every line as it comes (replay). */
  print: ((line: string) => void) | null = null;
  readonly #kept: string[] = [];
  readonly #keep: number;

  constructor(keep: number) {
    this.#keep = keep;
  }

  line(text: string): void {
    this.hash = crc32(text, this.hash);
    this.count++;
    this.print?.(text);
    if (this.#kept.length < this.#keep) this.#kept.push(text);
    else this.#kept[(this.count - 1) % this.#keep] = text;
  }

  /** Folds bytes in without a line. */
  bytes(bytes: Uint8Array): void {
    this.hash = crc32(bytes, this.hash);
  }

  last(): string[] {
    if (this.count <= this.#keep) return [...this.#kept];
    const at = this.count % this.#keep;
    return [...this.#kept.slice(at), ...this.#kept.slice(0, at)];
  }
}
