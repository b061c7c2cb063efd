/**
 * Hot path. The bounded recent past in memory: blocks of bytes as they stand (or will stand) in the segments. New messages are written
 * into the newest block and delivered from there; a block is given up, oldest first, once it is on disk and the window is over its size.
 */
export const BLOCK_BYTES = 1024 * 1024;

/** A buffer that mirrors a range of one segment. */
export class Block {
  readonly buffer: Buffer;
  readonly view: DataView;
  readonly segment: number;
  /** Offset in the segment of the buffer's first byte. */
  readonly start: number;
  /** Bytes of the buffer that hold something. */
  used = 0;
  /** Writes to disk that still need it. */
  pins = 0;
  /** It holds messages that may be delivered at once. */
  deliverable = false;
  /** False once its buffer may be used for something else. */
  live = true;

  constructor(buffer: Buffer, segment: number, start: number) {
    this.buffer = buffer;
    this.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    this.segment = segment;
    this.start = start;
  }
}

export class Window {
  readonly #maxBytes: number;
  readonly blockBytes: number;
  /** Oldest first. */
  readonly #blocks: Block[] = [];
  readonly #bySegment = new Map<number, Block[]>();
  /** Buffers to use again. No limit of their own: all of them were within the window's size at some time. */
  readonly #spare: Buffer[] = [];
  /** Dropped in this turn of the event loop: a sink may be reading from them still. */
  readonly #cooling: Buffer[] = [];
  #bytes = 0;
  #last: Block | null = null;

  constructor(maxBytes: number, blockBytes = BLOCK_BYTES) {
    this.#maxBytes = maxBytes;
    this.blockBytes = blockBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A new block for the range of the segment that begins at `start`, with room for at least `minBytes`. */
  open(segment: number, start: number, minBytes: number): Block {
    this.#trim(minBytes);
    const buffer =
      minBytes <= this.blockBytes
        ? (this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.blockBytes))
        : Buffer.allocUnsafeSlow(minBytes);
    const block = new Block(buffer, segment, start);
    this.#blocks.push(block);
    const list = this.#bySegment.get(segment);
    if (list === undefined) this.#bySegment.set(segment, [block]);
    else list.push(block);
    this.#bytes += buffer.length;
    return block;
  }

  /** The block that holds this place of the segment, if it is still in memory. */
  find(segment: number, offset: number): Block | null {
    const last = this.#last;
    if (last !== null && last.segment === segment && offset >= last.start && offset < last.start + last.used)
      return last;
    const list = this.#bySegment.get(segment);
    if (list === undefined) return null;
    for (let i = list.length - 1; i >= 0; i--) {
      const block = list[i]!;
      if (offset >= block.start) {
        if (offset >= block.start + block.used) return null;
        this.#last = block;
        return block;
      }
    }
    return null;
  }

  /** Gives up the oldest blocks until there is room. */
  #trim(bytes: number): void {
    while (this.#bytes + bytes > this.#maxBytes) {
      const oldest = this.#blocks[0];
      if (oldest === undefined || oldest.pins > 0) return;
      this.drop(oldest);
    }
  }

  /** Makes the buffers of dropped blocks available: nobody is in the middle of reading them. */
  recycle(): void {
    if (this.#cooling.length > 0) this.#spare.push(...this.#cooling.splice(0));
  }

  dropSegment(segment: number): void {
    for (const block of [...(this.#bySegment.get(segment) ?? [])]) this.drop(block);
  }

  drop(block: Block): void {
    block.live = false;
    this.#bytes -= block.buffer.length;
    if (this.#blocks[0] === block) this.#blocks.shift();
    else this.#blocks.splice(this.#blocks.indexOf(block), 1);
    const list = this.#bySegment.get(block.segment)!;
    list.splice(list.indexOf(block), 1);
    if (list.length === 0) this.#bySegment.delete(block.segment);
    if (this.#last === block) this.#last = null;
    if (block.buffer.length === this.blockBytes) this.#cooling.push(block.buffer);
  }
}
