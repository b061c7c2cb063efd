/** Standard output, a line at a time, that tells when each line is out, and when nobody reads any more. */
import { createWriteStream, fstatSync } from 'node:fs';
import type { Writable } from 'node:stream';

export class LineWriter {
  /** Why nothing more can be written: EPIPE when the reader has gone. */
  failure: NodeJS.ErrnoException | null = null;
  readonly #stream: Writable;
  readonly #onFailure: () => void;

  constructor(stream: Writable, onFailure: () => void) {
    this.#stream = stream;
    this.#onFailure = onFailure;
    stream.on('error', (error: NodeJS.ErrnoException) => this.#failed(error));
  }

  /** Resolves once the line was handed to the reader (a pipe, a file, a terminal); false: it was not. */
  write(text: Uint8Array): Promise<boolean> {
    if (this.failure !== null) return Promise.resolve(false);
    const line = Buffer.allocUnsafe(text.length + 1);
    line.set(text);
    line[text.length] = 0x0a;
    return new Promise((resolve) => {
      this.#stream.write(line, (error) => {
        if (error != null) this.#failed(error);
        resolve(error == null);
      });
    });
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (this.failure !== null) return;
    this.failure = error;
    this.#onFailure();
  }
}

/** The process's own standard output. Into a file it is written by a stream that looks at how much was written, which `process.stdout` doesn't. */
export function standardOutput(): Writable {
  return fstatSync(1).isFile() ? createWriteStream('', { fd: 1, autoClose: false }) : process.stdout;
}
