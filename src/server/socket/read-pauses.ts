import { performance } from 'node:perf_hooks';
import type { Transport } from './transport.ts';

export type PauseReason =
  /** Who it is, is being found out. */
  | 'greeting'
  /** The broker can't take publishes: memory or disk. */
  | 'blocked'
  /** The disk is behind. */
  | 'behind'
  /** Too many frames wait for an earlier method of their channel. */
  | 'kept'
  /** The client does not take what it is sent. */
  | 'unsent';

/** One bit each: idle connections are many. */
const bits: Readonly<Record<PauseReason, number>> = { greeting: 1, blocked: 2, behind: 4, kept: 8, unsent: 16 };

/** Why a socket is not read; it is read again once no reason is left. */
export class ReadPauses {
  readonly #socket: Pick<Transport, 'pause' | 'resume'>;
  #reasons = 0;
  /** How long the broker has not read, up to now or to when it last began not to. */
  #refusedMs = 0;
  #refusedSince: number | null = null;
  /** The same, for whatever reason. */
  #pausedMs = 0;
  #pausedSince: number | null = null;

  constructor(socket: Pick<Transport, 'pause' | 'resume'>) {
    this.#socket = socket;
  }

  get paused(): boolean {
    return this.#reasons !== 0;
  }

  /** The socket is not read for the broker's sake: not because its client takes nothing. */
  get refusing(): boolean {
    return this.#refusedSince !== null;
  }

  /** For how long that was so, since the beginning. */
  refusedMs(nowMs: number): number {
    return this.#refusedMs + (this.#refusedSince === null ? 0 : nowMs - this.#refusedSince);
  }

  /** For how long it was not read for whatever reason. */
  pausedMs(nowMs: number): number {
    return this.#pausedMs + (this.#pausedSince === null ? 0 : nowMs - this.#pausedSince);
  }

  set(reason: PauseReason, wanted: boolean): void {
    const bit = bits[reason];
    if (wanted === ((this.#reasons & bit) !== 0)) return;
    if (wanted && this.#reasons === 0) this.#socket.pause();
    this.#reasons ^= bit;
    if (this.#reasons === 0) this.#socket.resume();
    this.#account();
  }

  clear(): void {
    if (this.#reasons !== 0) this.#socket.resume();
    this.#reasons = 0;
    this.#account();
  }

  #account(): void {
    const refusing = (this.#reasons & ~bits.unsent) !== 0;
    const { paused } = this;
    if (refusing === this.refusing && paused === (this.#pausedSince !== null)) return;
    const nowMs = performance.now();
    if (refusing !== this.refusing) {
      this.#refusedMs = this.refusedMs(nowMs);
      this.#refusedSince = refusing ? nowMs : null;
    }
    if (paused !== (this.#pausedSince !== null)) {
      this.#pausedMs = this.pausedMs(nowMs);
      this.#pausedSince = paused ? nowMs : null;
    }
  }
}
