/** Turns of the event loop for what took long and has more to do: one has each, whoever comes between is served. */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** Resolves in a turn that nobody else has. */
  next(): Promise<void> {
    const next = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    this.#last = this.#last.then(next);
    return this.#last;
  }
}
