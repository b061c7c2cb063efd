/** The faults of a run, and how many messages were on their way to a consumer when each struck. */
import type { FaultEvent, FaultProof, FaultProofEvent } from './history.ts';
import { FLAG } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import { toothless } from './minimums.ts';

interface Fault {
  readonly what: string;
  readonly inFlight: number;
  proof: FaultProof | undefined;
}

export class FaultLog {
  readonly #ledger: Ledger;
  readonly #faults = new Map<string, Fault>();
  #inFlight = 0;
  #firstPlaceSinceFault = 0;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  get size(): number {
    return this.#faults.size;
  }

  /** A message set out for this place. */
  departed(place: number): void {
    this.#ledger.raise(place, FLAG.inFlight);
    this.#inFlight++;
  }

  /** Delivered, removed or rejected. */
  landed(place: number): void {
    if (!this.#ledger.has(place, FLAG.inFlight)) return;
    this.#ledger.lower(place, FLAG.inFlight);
    // What was on its way at an earlier fault may have been lost by it, and counts no more at the next.
    if (place >= this.#firstPlaceSinceFault) this.#inFlight--;
  }

  struck(event: FaultEvent): void {
    this.#faults.set(event.name, { what: event.what, inFlight: this.#inFlight, proof: event.proof });
    this.#inFlight = 0;
    this.#firstPlaceSinceFault = this.#ledger.places.length;
  }

  /** False where no such fault was recorded. */
  proven(event: FaultProofEvent): boolean {
    const fault = this.#faults.get(event.name);
    if (fault !== undefined) fault.proof = event.proof;
    return fault !== undefined;
  }

  /** The most messages on their way when a fault struck that is proven to have bitten. */
  inFlightAtProvenFault(): number {
    let most = 0;
    for (const { inFlight, proof } of this.#faults.values()) {
      if (proof !== undefined && toothless(proof) === undefined) most = Math.max(most, inFlight);
    }
    return most;
  }

  /** Each fault that is not proven to have bitten, and why. */
  unproven(): string[] {
    const sentences: string[] = [];
    for (const [name, { what, proof }] of this.#faults) {
      const why = proof === undefined ? 'nothing proves that it bit' : toothless(proof);
      if (why !== undefined) sentences.push(`fault ${name} (${what}): ${why}`);
    }
    return sentences;
  }
}
