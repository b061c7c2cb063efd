/** How many there are of each user. */
export class UserCounts {
  readonly #counts = new Map<string, number>();

  of(user: string): number {
    return this.#counts.get(user) ?? 0;
  }

  add(user: string): void {
    this.#counts.set(user, this.of(user) + 1);
  }

  remove(user: string): void {
    const count = this.of(user) - 1;
    if (count > 0) this.#counts.set(user, count);
    else this.#counts.delete(user);
  }
}
