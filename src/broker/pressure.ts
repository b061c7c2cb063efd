import type { Clock, Timer } from '../engine/clock.ts';
import type { BrokerSettings } from './broker-settings.ts';

export interface PressureListener {
  /** Publishers must wait: `reason` is RabbitMQ's text for `connection.blocked`. Told again when the reason changes. */
  blocked(reason: string): void;
  unblocked(): void;
  /** The disk is behind: stop reading from publishers until `caughtUp`. */
  behind(): void;
  caughtUp(): void;
}

/** Back-pressure: the memory and disk alarms, and a disk that is behind. */
export class Pressure {
  #memory = false;
  #disk = false;
  #unreachable = false;
  #behind = false;
  #timer: Timer | null = null;
  readonly #listeners = new Set<PressureListener>();
  readonly #clock: Clock;
  readonly #settings: BrokerSettings;
  readonly #residentBytes: () => number;

  constructor(clock: Clock, settings: BrokerSettings, residentBytes: () => number = () => process.memoryUsage.rss()) {
    this.#clock = clock;
    this.#settings = settings;
    this.#residentBytes = residentBytes;
  }

  /** Why publishers are blocked, or null. */
  get blocked(): string | null {
    if (this.#unreachable) return 'store unreachable';
    if (this.#memory) return this.#disk ? 'low on memory & disk' : 'low on memory';
    return this.#disk ? 'low on disk' : null;
  }

  get lowOnMemory(): boolean {
    return this.#memory;
  }

  get behind(): boolean {
    return this.#behind;
  }

  /** Answers the function that ends it. */
  subscribe(listener: PressureListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  start(): void {
    this.#timer ??= this.#clock.after(this.#settings.memorySampleMs, () => {
      this.#timer = null;
      this.sample();
      this.start();
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Looks at resident memory now. */
  sample(): void {
    const memory = this.#residentBytes() > this.#settings.memoryWatermarkBytes;
    if (memory === this.#memory) return;
    const before = this.blocked;
    this.#memory = memory;
    this.#tell(before);
  }

  setDisk(full: boolean): void {
    const before = this.blocked;
    this.#disk = full;
    this.#tell(before);
  }

  /** The engine keeps its messages elsewhere, and can't get there. */
  setUnreachable(unreachable: boolean): void {
    const before = this.blocked;
    this.#unreachable = unreachable;
    this.#tell(before);
  }

  setBehind(behind: boolean): void {
    if (behind === this.#behind) return;
    this.#behind = behind;
    for (const listener of Array.from(this.#listeners)) {
      if (behind) listener.behind();
      else listener.caughtUp();
    }
  }

  #tell(before: string | null): void {
    const now = this.blocked;
    if (now === before) return;
    for (const listener of Array.from(this.#listeners)) {
      if (now === null) listener.unblocked();
      else listener.blocked(now);
    }
  }
}
