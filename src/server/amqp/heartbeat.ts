/** Heartbeats both ways (0-9-1 §4.2.7): one timer at half the agreed interval. */
import type { Socket } from 'node:net';
import { frameOverheadBytes } from '../../wire/amqp/protocol.ts';

/** Halves of the interval without a byte from the peer after which it is taken for dead. */
const missedHalves = 4;

export interface HeartbeatEvents {
  /** Nothing was sent for half an interval. */
  send(): void;
  /** Nothing came for two intervals. */
  missed(): void;
  /** Nothing can come, because the socket is not read. */
  paused(): boolean;
}

export class Heartbeat {
  readonly #timer: NodeJS.Timeout;
  readonly #socket: Socket;
  readonly #events: HeartbeatEvents;
  #written: number;
  #read: number;
  #silentHalves = 0;

  constructor(socket: Socket, seconds: number, events: HeartbeatEvents) {
    this.#socket = socket;
    this.#events = events;
    this.#written = socket.bytesWritten;
    this.#read = socket.bytesRead;
    this.#timer = setInterval(() => this.#tick(), seconds * 500);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const { bytesRead, bytesWritten } = this.#socket;
    const silent = bytesWritten === this.#written;
    if (silent) this.#events.send();
    // The heartbeat itself, which leaves at the end of this turn, is no reason to leave out the next.
    this.#written = bytesWritten + (silent ? frameOverheadBytes : 0);
    if (bytesRead !== this.#read || this.#events.paused()) this.#silentHalves = 0;
    else this.#silentHalves++;
    this.#read = bytesRead;
    if (this.#silentHalves >= missedHalves) this.#events.missed();
  }
}
