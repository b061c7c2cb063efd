// Hot path: acknowledgements gathered in one buffer and written in one piece.
import type { Socket } from 'node:net';
import { firstByteOf } from './packet.ts';

const acknowledgementBytes = 4;

export class Acknowledgements {
  readonly #socket: Socket;
  readonly #bytes: number;
  #gathered: Buffer;
  #at = 0;

  /** `atOnce`: how many go into one write. */
  constructor(socket: Socket, atOnce: number) {
    this.#socket = socket;
    this.#bytes = atOnce * acknowledgementBytes;
    this.#gathered = Buffer.allocUnsafeSlow(this.#bytes);
  }

  add(type: number, idHigh: number, idLow: number): void {
    const bytes = this.#gathered;
    const at = this.#at;
    bytes[at] = firstByteOf(type);
    bytes[at + 1] = 2;
    bytes[at + 2] = idHigh;
    bytes[at + 3] = idLow;
    this.#at = at + acknowledgementBytes;
    if (this.#at === this.#bytes) this.flush();
  }

  flush(): void {
    if (this.#at === 0) return;
    this.#socket.write(this.#gathered.subarray(0, this.#at));
    this.#at = 0;
    // Bytes that the kernel did not take at once are still in use.
    if (this.#socket.writableLength > 0) this.#gathered = Buffer.allocUnsafeSlow(this.#bytes);
  }
}
