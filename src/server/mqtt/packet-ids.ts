/** Hot path: a set of packet ids, of which a client may make 65,535 and never end one. Few are a list, many a bit each: 8 KiB, however many. */

export const bitmapBytes = 0x1_0000 / 8;
/** Beyond it there are bits. */
const mostListed = 256;

export class PacketIds {
  readonly #few = new Set<number>();
  #bits: Uint8Array | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(id: number): boolean {
    const bits = this.#bits;
    return bits === null ? this.#few.has(id) : (bits[id >> 3]! & (1 << (id & 7))) !== 0;
  }

  add(id: number): void {
    if (this.has(id)) return;
    this.#size++;
    if (this.#bits === null) {
      this.#few.add(id);
      if (this.#size > mostListed) this.#spread();
    } else this.#bits[id >> 3]! |= 1 << (id & 7);
  }

  /** Whether it was there. */
  delete(id: number): boolean {
    if (!this.has(id)) return false;
    this.#size--;
    if (this.#bits === null) this.#few.delete(id);
    else if (this.#size === 0) this.#bits = null;
    else this.#bits[id >> 3]! &= ~(1 << (id & 7));
    return true;
  }

  *[Symbol.iterator](): Generator<number> {
    const bits = this.#bits;
    if (bits === null) yield* this.#few;
    else for (let id = 0; id <= 0xffff; id++) if ((bits[id >> 3]! & (1 << (id & 7))) !== 0) yield id;
  }

  #spread(): void {
    const bits = new Uint8Array(bitmapBytes);
    for (const id of this.#few) bits[id >> 3]! |= 1 << (id & 7);
    this.#few.clear();
    this.#bits = bits;
  }
}
