/** A seeded source of choices (sfc32): cheap, and the same everywhere. Streams are split by name so that one does not shift another. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number, stream = 0) {
    this.#a = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 0;
    this.#b = Math.imul(stream + 0x632be5ab, 0xc2b2ae35) | 0;
    this.#c = seed | 0;
    for (let i = 0; i < 12; i++) this.uint32();
  }

  uint32(): number {
    const t = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + t) | 0;
    return t >>> 0;
  }

  /** 0 <= x < 1. */
  unit(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** An integer, 0 <= x < limit. */
  below(limit: number): number {
    return Math.floor(this.unit() * limit);
  }

  /** An integer, from <= x <= to. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** Picks a key by its weight. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    let total = 0;
    for (const key in weights) total += weights[key];
    let at = this.unit() * total;
    let last: K | undefined;
    for (const key in weights) {
      if (weights[key] <= 0) continue;
      last = key;
      at -= weights[key];
      if (at < 0) return key;
    }
    return last!;
  }
}
