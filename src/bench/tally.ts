/** What a consumer found wrong in one stream of messages; all zero when every message came once, whole and in order. */
export interface Findings {
  lost: number;
  duplicated: number;
  reordered: number;
  altered: number;
  /** The first thing that was wrong, in words; empty when nothing was. */
  first: string;
}

/** How many missing numbers are remembered to tell a late message from one that came twice. */
const maxRemembered = 1_000_000;

/**
 * The bookkeeping of irregularities in one stream, kept off the path of messages that are as they should be: the reader compares
 * a sequence number with the one it expects and comes here only when they differ.
 */
export class Tally {
  readonly findings: Findings = { lost: 0, duplicated: 0, reordered: 0, altered: 0, first: '' };
  readonly #missing = new Set<number>();
  readonly #stride: number;

  constructor(stride = 1) {
    this.#stride = stride;
  }

  /** A message came whose number is not the expected one. Returns the number expected next. */
  irregular(seq: number, expected: number): number {
    if (seq > expected && (seq - expected) % this.#stride === 0) {
      this.#note(`message ${seq} came where ${expected} was due`);
      for (let missing = expected; missing < seq; missing += this.#stride) {
        if (this.#missing.size < maxRemembered) this.#missing.add(missing);
        this.findings.lost++;
      }
      return seq + this.#stride;
    }
    if (this.#missing.delete(seq)) {
      this.findings.lost--;
      this.findings.reordered++;
    } else {
      this.#note(`message ${seq} came again (${expected} was due)`);
      this.findings.duplicated++;
    }
    return expected;
  }

  altered(what: string): void {
    this.#note(what);
    this.findings.altered++;
  }

  /** The stream has ended: whatever lies between the number due next and the end never came. */
  end(expected: number, endExclusive: number): void {
    if (expected >= endExclusive) return;
    const missing = Math.ceil((endExclusive - expected) / this.#stride);
    this.#note(`the last ${missing} messages, from ${expected}, never came`);
    this.findings.lost += missing;
  }

  #note(what: string): void {
    if (this.findings.first === '') this.findings.first = what;
  }
}

/** Adds findings up; the first description wins. */
export function sumFindings(all: readonly Findings[]): Findings {
  const sum: Findings = { lost: 0, duplicated: 0, reordered: 0, altered: 0, first: '' };
  for (const one of all) {
    sum.lost += one.lost;
    sum.duplicated += one.duplicated;
    sum.reordered += one.reordered;
    sum.altered += one.altered;
    if (sum.first === '') sum.first = one.first;
  }
  return sum;
}

export function isClean(findings: Findings): boolean {
  return findings.lost === 0 && findings.duplicated === 0 && findings.reordered === 0 && findings.altered === 0;
}
