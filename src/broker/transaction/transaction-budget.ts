/** What all open transactions of a broker keep, and the blocks that they keep small messages in. */
export const blockBytes = 16 * 1024;
/** The first one of a transaction: many that keep little must not take what is there for all. */
export const firstBlockBytes = 512;

/** Emptied blocks of each size that wait for the next transaction. */
const maxSpareBlocks = 256;

export class TransactionBudget {
  readonly #maxBytes: number;
  readonly #spare: Buffer[] = [];
  readonly #spareFirst: Buffer[] = [];
  #bytes = 0;

  /** `maxBytes` over all transactions. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** False: there is no room for so many more. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#maxBytes) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** One of `blockBytes` or `firstBlockBytes`. */
  block(bytes: number): Buffer {
    const spare = bytes === blockBytes ? this.#spare : this.#spareFirst;
    return spare.pop() ?? Buffer.allocUnsafeSlow(bytes);
  }

  recycle(block: Buffer): void {
    if (block.length !== blockBytes && block.length !== firstBlockBytes) return;
    const spare = block.length === blockBytes ? this.#spare : this.#spareFirst;
    if (spare.length < maxSpareBlocks) spare.push(block);
  }
}
