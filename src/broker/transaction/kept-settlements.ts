/** Hot: the deliveries that an open transaction settles, in the order in which it was asked to. */
import type { Settlement } from '../../engine/engine.ts';
import type { TagTaker } from '../ledger.ts';

const codes: readonly Settlement[] = ['ack', 'drop', 'requeue'];
/** Words of a delivery: tag, number, holder, settlement. */
const width = 4;

export interface KeptRun {
  readonly holder: number;
  readonly settlement: Settlement;
  readonly first: number;
  readonly count: number;
}

export class KeptSettlements implements TagTaker {
  #words = new Float64Array(16 * width);
  #end = 0;
  /** How those are settled that are taken now. */
  #code = 0;

  get count(): number {
    return this.#end / width;
  }

  /** Memory, in bytes. */
  get bytes(): number {
    return this.#end * 8;
  }

  /** The lowest tag; 0: there is none. */
  get oldest(): number {
    let oldest = 0;
    for (let at = 0; at < this.#end; at += width) {
      if (oldest === 0 || this.#words[at]! < oldest) oldest = this.#words[at]!;
    }
    return oldest;
  }

  begin(settlement: Settlement): void {
    this.#code = codes.indexOf(settlement);
  }

  takeTag(tag: number, holder: number, number: number): void {
    if (this.#end === this.#words.length) {
      const grown = new Float64Array(this.#words.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    const words = this.#words;
    words[this.#end] = tag;
    words[this.#end + 1] = number;
    words[this.#end + 2] = holder;
    words[this.#end + 3] = this.#code;
    this.#end += width;
  }

  /** Neighbours of one holder that are settled alike are one run. */
  *runs(): Generator<KeptRun> {
    const words = this.#words;
    for (let at = 0; at < this.#end;) {
      const first = words[at + 1]!;
      const holder = words[at + 2]!;
      const code = words[at + 3]!;
      let count = 1;
      at += width;
      while (at < this.#end && words[at + 1] === first + count && words[at + 2] === holder && words[at + 3] === code) {
        count += 1;
        at += width;
      }
      yield { holder, settlement: codes[code]!, first, count };
    }
  }

  *deliveries(): Generator<{ readonly tag: number; readonly holder: number; readonly number: number }> {
    const words = this.#words;
    for (let at = 0; at < this.#end; at += width) {
      yield { tag: words[at]!, number: words[at + 1]!, holder: words[at + 2]! };
    }
  }

  clear(): void {
    this.#end = 0;
    if (this.#words.length > 1024 * width) this.#words = new Float64Array(16 * width);
  }
}
