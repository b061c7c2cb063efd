/** A binary min-heap of message numbers in a typed array: what came back to a queue, lowest first. */
const EMPTY = new Float64Array(0);

export class NumberHeap {
  #numbers: Float64Array = EMPTY;
  size = 0;

  peek(): number {
    return this.size === 0 ? Infinity : this.#numbers[0]!;
  }

  push(number: number): void {
    if (this.size === this.#numbers.length) this.#grow();
    const numbers = this.#numbers;
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (numbers[parent]! <= number) break;
      numbers[at] = numbers[parent]!;
      at = parent;
    }
    numbers[at] = number;
  }

  pop(): number {
    const numbers = this.#numbers;
    const lowest = numbers[0]!;
    const last = numbers[--this.size]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && numbers[child + 1]! < numbers[child]!) child++;
      if (numbers[child]! >= last) break;
      numbers[at] = numbers[child]!;
      at = child;
    }
    numbers[at] = last;
    if (this.size === 0) this.#numbers = EMPTY;
    return lowest;
  }

  clear(): void {
    this.size = 0;
    this.#numbers = EMPTY;
  }

  /** In no order. */
  *values(): Generator<number> {
    for (let i = 0; i < this.size; i++) yield this.#numbers[i]!;
  }

  #grow(): void {
    const grown = new Float64Array(Math.max(8, this.size * 2));
    grown.set(this.#numbers);
    this.#numbers = grown;
  }
}
