/** Lines of a stream as the bytes that they are; each ends with LF or CRLF, the last may lack it. */
export interface Line {
  /** From 1. */
  readonly number: number;
  /** Without its end. Null: longer than any message may be. */
  readonly bytes: Buffer | null;
}

const lf = 0x0a;
const cr = 0x0d;

export class LineSplitter {
  readonly #maxBytes: number;
  #number = 0;
  /** The beginning of a line whose end has not come. */
  #parts: Buffer[] = [];
  #partBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The lines that end in this chunk. */
  *split(chunk: Buffer): Generator<Line> {
    let from = 0;
    for (let end = chunk.indexOf(lf); end >= 0; end = chunk.indexOf(lf, from)) {
      this.#keep(chunk.subarray(from, end));
      yield this.#take();
      from = end + 1;
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
  }

  /** What the end of the stream leaves. */
  rest(): Line | null {
    return this.#partBytes === 0 ? null : this.#take();
  }

  #keep(part: Buffer): void {
    this.#partBytes += part.length;
    if (this.#partBytes > this.#maxBytes + 1) this.#parts = [];
    else this.#parts.push(part);
  }

  #take(): Line {
    this.#number += 1;
    const bytes = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    const tooLong = this.#partBytes > this.#maxBytes + 1;
    this.#parts = [];
    this.#partBytes = 0;
    if (tooLong) return { number: this.#number, bytes: null };
    const end = bytes[bytes.length - 1] === cr ? bytes.length - 1 : bytes.length;
    return { number: this.#number, bytes: bytes.subarray(0, end) };
  }
}
