/** How long a close waits for what is under way. Who asks again may have less patience, and never gives more. */
export class Grace {
  /** Resolves when it is over: nothing is under way any more, or nobody waits longer. */
  readonly over: Promise<void>;
  #end!: () => void;
  #until = Infinity;
  #timer: NodeJS.Timeout | null = null;

  constructor() {
    this.over = new Promise((resolve) => (this.#end = resolve));
  }

  /** @param graceMs `Infinity`: as long as it takes */
  shorten(graceMs: number): void {
    const until = performance.now() + graceMs;
    if (until >= this.#until) return;
    this.#until = until;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#end, graceMs);
  }

  end(): void {
    this.#until = -Infinity;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#end();
  }
}
