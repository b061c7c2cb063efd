/** Frames of a channel that must wait until an earlier method of the same channel is done, side by side as they came. */
export class KeptFrames {
  bytes: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;

  get size(): number {
    return this.end - this.start;
  }

  add(source: Buffer, from: number, to: number): void {
    const size = to - from;
    if (this.end + size > this.bytes.length) this.#makeRoom(size);
    source.copy(this.bytes, this.end, from, to);
    this.end += size;
  }

  /** The bytes before `start` were handled. */
  drop(start: number): void {
    this.start = start;
    if (this.start < this.end) return;
    this.bytes = Buffer.alloc(0);
    this.start = 0;
    this.end = 0;
  }

  #makeRoom(size: number): void {
    const kept = this.end - this.start;
    const room = Buffer.allocUnsafe(Math.max(kept + size, kept * 2, 256));
    this.bytes.copy(room, 0, this.start, this.end);
    this.bytes = room;
    this.start = 0;
    this.end = kept;
  }
}
