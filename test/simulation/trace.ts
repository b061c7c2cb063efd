/**
 * The history of a simulation: every call and every outcome is folded into one hash (two runs of a seed must agree on it);
 * the last lines are kept for the report of a failure.
 */
import { crc32 } from 'node:zlib';

/** Lines are hashed when there are so many characters of them: one call for each costs more than the hash. */
const mostWaiting = 16 * 1024;

export class Trace {
  count = 0;
  readonly #kept: string[] = [];
  readonly #keep: number;
  readonly #print: ((line: string) => void) | null;
  #hash = 0;
  #waiting = '';

  /** `print` gets every line as it comes (replay). */
  constructor(keep: number, print: ((line: string) => void) | null = null) {
    this.#keep = keep;
    this.#print = print;
  }

  line(text: string): void {
    this.#waiting += text;
    if (this.#waiting.length > mostWaiting) this.#fold();
    this.count++;
    this.#print?.(text);
    if (this.#kept.length < this.#keep) this.#kept.push(text);
    else this.#kept[(this.count - 1) % this.#keep] = text;
  }

  /** Folds bytes in without a line. */
  bytes(bytes: Uint8Array): void {
    this.#waiting += ` ${crc32(bytes)} `;
  }

  get hash(): number {
    this.#fold();
    return this.#hash;
  }

  #fold(): void {
    if (this.#waiting === '') return;
    this.#hash = crc32(this.#waiting, this.#hash);
    this.#waiting = '';
  }

  last(): string[] {
    if (this.count <= this.#keep) return [...this.#kept];
    const at = this.count % this.#keep;
    return [...this.#kept.slice(at), ...this.#kept.slice(0, at)];
  }
}
