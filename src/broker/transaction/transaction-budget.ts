/** What all open transactions of a broker keep, and the blocks that they keep small messages in. */
export const blockBytes = 16 * 1024;

/** Emptied blocks that wait for the next transaction. */
const maxSpareBlocks = 256;

export class TransactionBudget {
  readonly #maxBytes: number;
  readonly #spare: Buffer[] = [];
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

  block(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(blockBytes);
  }

  recycle(block: Buffer): void {
    if (block.length === blockBytes && this.#spare.length < maxSpareBlocks) this.#spare.push(block);
  }
}
