/** The beginning of a packet whose rest comes with a later read. Holds what came, never what a length only declares. */
const noBytes = Buffer.alloc(0);
const firstBytes = 64;

export class PacketCarry {
  bytes: Buffer = noBytes;
  length = 0;

  /** The packet's length with its fixed header; 0: that is not known yet. */
  get wholeLength(): number {
    const { bytes, length } = this;
    let value = 0;
    for (let at = 1; at < Math.min(length, 5); at++) {
      value += (bytes[at]! & 0x7f) << (7 * (at - 1));
      if (bytes[at]! < 0x80) return at + 1 + value;
    }
    return 0;
  }

  get isWhole(): boolean {
    return this.length > 0 && this.length === this.wholeLength;
  }

  /** Whether a fixed header begins here that has no end within the five bytes it may have. */
  get isOverlong(): boolean {
    return this.length >= 5 && this.wholeLength === 0;
  }

  /** Takes what belongs to the packet begun from `source[from, end)` and answers where that ends. */
  complete(source: Buffer, from: number, end: number, maxBytes: number): number {
    while (this.wholeLength === 0 && from < end && this.length < 5) {
      this.add(source, from, from + 1);
      from += 1;
    }
    const { wholeLength } = this;
    if (wholeLength === 0 || wholeLength > maxBytes) return from;
    const to = Math.min(from + wholeLength - this.length, end);
    this.add(source, from, to);
    return to;
  }

  add(source: Buffer, from: number, to: number): void {
    const needed = this.length + to - from;
    if (needed > this.bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.bytes.length * 2, firstBytes));
      this.bytes.copy(grown, 0, 0, this.length);
      this.bytes = grown;
    }
    source.copy(this.bytes, this.length, from, to);
    this.length = needed;
  }

  clear(): void {
    this.bytes = noBytes;
    this.length = 0;
  }
}
