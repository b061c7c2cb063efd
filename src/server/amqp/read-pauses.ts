import type { Socket } from 'node:net';

export type PauseReason =
  /** The broker can't take publishes: memory or disk. */
  | 'blocked'
  /** The disk is behind. */
  | 'behind'
  /** Too many frames wait for an earlier method of their channel. */
  | 'kept'
  /** The client does not take what it is sent. */
  | 'unsent';

/** Why a socket is not read; it is read again once no reason is left. */
export class ReadPauses {
  readonly #socket: Socket;
  readonly #reasons = new Set<PauseReason>();

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get paused(): boolean {
    return this.#reasons.size > 0;
  }

  set(reason: PauseReason, wanted: boolean): void {
    if (wanted === this.#reasons.has(reason)) return;
    if (wanted) {
      if (this.#reasons.size === 0) this.#socket.pause();
      this.#reasons.add(reason);
    } else {
      this.#reasons.delete(reason);
      if (this.#reasons.size === 0) this.#socket.resume();
    }
  }

  clear(): void {
    if (this.#reasons.size > 0) this.#socket.resume();
    this.#reasons.clear();
  }
}
