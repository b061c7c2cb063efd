/**
 * Who sends no packet for one and a half times its keep-alive is gone [MQTT-3.1.2-24].
 *
 * One wheel with one timer for all connections; a packet costs one number. The wheel's clock stands still while this process does,
 * and what a connection was not read for the broker's sake is taken off: what it sent then lies in its socket.
 */
import { performance } from 'node:perf_hooks';
import type { Output } from '../socket/output.ts';
import type { ReadPauses } from '../socket/read-pauses.ts';

const tickMs = 250;
/** Nobody is looked at less often than once a turn of the wheel, so what is gone does not stay for long. */
const slotCount = 256;

export interface Guarded {
  readonly pauses: Pick<ReadPauses, 'pausedMs' | 'refusedMs'>;
  readonly output: Pick<Output, 'taken'>;
  keepAliveMissed(): void;
}

export class KeepAliveWheel {
  /** Of the clock that stands still with the process. */
  nowMs = 0;
  readonly #slots = Array.from({ length: slotCount }, () => new Set<KeepAlive>());
  #tick = 0;
  #size = 0;
  #tickedAtMs = 0;
  #timer: NodeJS.Timeout | null = null;

  /** From now on. `seconds` is the keep-alive itself, and more than 0. */
  guard(guarded: Guarded, seconds: number): KeepAlive {
    if (this.#timer === null) {
      this.#tickedAtMs = performance.now();
      this.#timer = setInterval(() => this.#turn(), tickMs).unref();
    }
    const keepAlive = new KeepAlive(this, guarded, seconds * 1_500);
    this.#size += 1;
    this.#place(keepAlive, keepAlive.periodMs);
    return keepAlive;
  }

  forget(keepAlive: KeepAlive): void {
    if (!this.#slots[keepAlive.slot]!.delete(keepAlive)) return;
    this.#size -= 1;
    if (this.#size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #turn(): void {
    const nowMs = performance.now();
    // Packets may wait that nobody could read meanwhile.
    this.nowMs += Math.min(nowMs - this.#tickedAtMs, 2 * tickMs);
    this.#tickedAtMs = nowMs;
    this.#tick += 1;
    for (const keepAlive of [...this.#slots[this.#tick % slotCount]!]) {
      const leftMs = keepAlive.leftMs(nowMs);
      if (leftMs > 0) this.#place(keepAlive, leftMs);
      else {
        this.forget(keepAlive);
        keepAlive.guarded.keepAliveMissed();
      }
    }
  }

  /** Looked at once so much is over, or after a turn. */
  #place(keepAlive: KeepAlive, afterMs: number): void {
    const ticks = Math.min(Math.ceil(afterMs / tickMs), slotCount - 1);
    this.#slots[keepAlive.slot]!.delete(keepAlive);
    keepAlive.slot = (this.#tick + ticks) % slotCount;
    this.#slots[keepAlive.slot]!.add(keepAlive);
  }
}

/** Of one connection. */
export class KeepAlive {
  readonly guarded: Guarded;
  readonly periodMs: number;
  slot = 0;
  readonly #wheel: KeepAliveWheel;
  #heardAtMs: number;
  /** When it was looked at last: what was heard until then, and for how long it had not been read when that was new. */
  #heardBeforeMs: number;
  #refusedMs: number;
  #unsentMs: number;
  #taken: number;

  constructor(wheel: KeepAliveWheel, guarded: Guarded, periodMs: number) {
    this.#wheel = wheel;
    this.guarded = guarded;
    // The clock may be a tick behind when a packet comes.
    this.periodMs = periodMs + tickMs;
    this.#heardAtMs = wheel.nowMs;
    this.#heardBeforeMs = this.#heardAtMs;
    const nowMs = performance.now();
    this.#refusedMs = guarded.pauses.refusedMs(nowMs);
    this.#unsentMs = guarded.pauses.pausedMs(nowMs) - this.#refusedMs;
    this.#taken = guarded.output.taken;
  }

  /** A packet came. */
  heard(): void {
    this.#heardAtMs = this.#wheel.nowMs;
  }

  stop(): void {
    this.#wheel.forget(this);
  }

  /** Until it is gone, if nothing comes. */
  leftMs(nowMs: number): number {
    const { pauses, output } = this.guarded;
    const refusedMs = pauses.refusedMs(nowMs);
    const unsentMs = pauses.pausedMs(nowMs) - refusedMs;
    const { taken } = output;
    // Its packets were left unread because it took too little: what it does take shows that it is there.
    if (unsentMs > this.#unsentMs && taken !== this.#taken) this.heard();
    this.#unsentMs = unsentMs;
    this.#taken = taken;
    const clockMs = this.#wheel.nowMs;
    const silentMs = clockMs - this.#heardAtMs - (refusedMs - this.#refusedMs);
    if (this.#heardAtMs !== this.#heardBeforeMs) {
      this.#heardBeforeMs = this.#heardAtMs;
      this.#refusedMs = refusedMs;
    }
    return Math.min(this.periodMs, this.periodMs - silentMs);
  }
}
