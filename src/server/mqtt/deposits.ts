/**
 * How much of a session's mailbox is retained messages that were put there and were not sent yet. A few bytes ask for all that is retained, again and
 * again: more goes in as the client takes what is there, so that asking fills no disk.
 */
const maxCount = 1_000;
const maxBytes = 1024 * 1024;

export class Deposits {
  #count = 0;
  #bytes = 0;

  get isFull(): boolean {
    return this.#count >= maxCount || this.#bytes >= maxBytes;
  }

  /** Enough was taken for a batch that is worth its write. */
  get isHalfEmpty(): boolean {
    return this.#count <= maxCount / 2 && this.#bytes <= maxBytes / 2;
  }

  put(bodyBytes: number): void {
    this.#count++;
    this.#bytes += bodyBytes;
  }

  /** One was sent for the first time. */
  sent(bodyBytes: number): void {
    this.#count = Math.max(0, this.#count - 1);
    this.#bytes = Math.max(0, this.#bytes - bodyBytes);
  }

  /** There is no more in the mailbox in all: what expired or gave way there is never sent. */
  atMost(count: number, bytes: number): void {
    this.#count = Math.min(this.#count, count);
    this.#bytes = Math.min(this.#bytes, bytes);
  }
}
