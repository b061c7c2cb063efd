/**
 * What a running broker tells its operator, on standard error. Whoever reads that may stop to (a pipe to a program that hangs): then
 * neither does the broker wait, nor does it keep what it has to say for ever. Lines are left out, and how many is told later.
 */
import type { Writable } from 'node:stream';
import { lineOf } from './report-error.ts';

/** Kept for a reader that is slow. */
const mostWaitingBytes = 64 * 1024;

export class LogLines {
  readonly #stream: Writable;
  #leftOut = 0;
  #gone = false;

  constructor(stream: Writable) {
    this.#stream = stream;
    // Whatever is told at the end of the process must not wait either.
    neverWaits(stream);
    stream.on('error', () => {
      // There is nobody to tell any more.
      this.#gone = true;
    });
  }

  readonly say = (line: string): void => {
    if (this.#gone) return;
    neverWaits(this.#stream);
    if (this.#stream.writableLength > mostWaitingBytes) {
      this.#leftOut++;
      return;
    }
    if (this.#leftOut > 0) {
      this.#stream.write(lineOf(`${this.#leftOut} lines were left out here, since nobody read standard error`));
      this.#leftOut = 0;
    }
    this.#stream.write(lineOf(line));
  };
}

/** Whether writes to a pipe wait is decided by all processes that have it, and a child that is given it makes them wait. */
function neverWaits(stream: Writable): void {
  const { _handle: handle, isTTY } = stream as unknown as {
    readonly _handle?: { setBlocking?(wanted: boolean): void };
    readonly isTTY?: boolean;
  };
  if (isTTY !== true) handle?.setBlocking?.(false);
}
