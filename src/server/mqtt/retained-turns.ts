/**
 * How much of what is retained is sent, or goes into sessions' mailboxes, in one turn of the event loop, by all clients together: a few bytes
 * ask for very much. Who has more to come waits here, in turn; with what has to be written only while the disk keeps up: publishers are not
 * read then, and would never be again if what is retained took the disk instead.
 */
import type { Pressure } from '../../broker/index.ts';

/** Messages; or pieces of a search that finds none. */
const turnLength = 500;

type Task = () => void;

export class RetainedTurns {
  readonly #pressure: Pressure;
  /** Of this turn. */
  #left = turnLength;
  #hasNext = false;
  readonly #waiting = new Set<Task>();
  readonly #forDisk = new Set<Task>();

  constructor(pressure: Pressure) {
    this.#pressure = pressure;
  }

  /** Whether one more may be done in this turn. */
  take(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    this.#next();
    return true;
  }

  /** Whether something may be written now. */
  get hasDisk(): boolean {
    return !this.#pressure.behind && this.#pressure.blocked === null;
  }

  /** Calls it in a turn to come. */
  wait(task: Task): void {
    this.#waiting.add(task);
    this.#next();
  }

  /** The same, once something may be written. */
  waitForDisk(task: Task): void {
    this.#forDisk.add(task);
  }

  pressureChanged(): void {
    if (this.#forDisk.size === 0 || !this.hasDisk) return;
    for (const task of this.#forDisk) this.#waiting.add(task);
    this.#forDisk.clear();
    this.#next();
  }

  #next(): void {
    if (this.#hasNext) return;
    this.#hasNext = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#hasNext = false;
    this.#left = turnLength;
    for (const task of this.#waiting) {
      if (this.#left === 0) break;
      this.#waiting.delete(task);
      task();
    }
    if (this.#waiting.size > 0) this.#next();
  }
}
