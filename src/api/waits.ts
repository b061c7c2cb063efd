import type { PostriderError } from './errors.ts';

/** What is waited for until it is done, or until whoever waits has to go. */
export class Waits {
  readonly #waiting = new Set<(error: PostriderError) => void>();
  #over: PostriderError | null = null;

  /** As the work ends, or with the error of `end`: the work goes on then, and nobody looks at how it ends. */
  async for<T>(work: Promise<T>): Promise<T> {
    let reject!: (error: PostriderError) => void;
    const over = new Promise<never>((_resolve, rejectIt) => (reject = rejectIt));
    this.#waiting.add(reject);
    if (this.#over !== null) reject(this.#over);
    try {
      return await Promise.race([work, over]);
    } finally {
      this.#waiting.delete(reject);
    }
  }

  end(error: PostriderError): void {
    this.#over = error;
    for (const reject of this.#waiting) reject(error);
  }
}
