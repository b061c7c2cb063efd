/** The conformance suite's plain model as an engine to simulate: nothing is lost, so the judge must find nothing, unless a defect is planted. */
import type { Clock } from '../../src/engine/clock.ts';
import type { EngineQueue, Lease, Sink } from '../../src/engine/engine.ts';
import { type Defect, ModelEngine, ModelStore } from '../conformance/model-engine.ts';
import type { EngineFactory } from './simulation.ts';

class PlainEngine extends ModelEngine {
  readonly #clock: Clock;
  readonly #takes = new Map<Lease, number>();

  constructor(store: ModelStore, clock: Clock, defects: ReadonlySet<Defect>) {
    super(store, clock, defects);
    this.#clock = clock;
    // Where a message goes that comes due is the model's own choice.
    Object.assign(this.capabilities, { delayed: false });
  }

  override async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#clock.after(20, resolve);
    });
    return super.close();
  }

  override async take(queue: EngineQueue, lease: Lease, noAck: boolean, sink: Sink): Promise<boolean> {
    this.#takes.set(lease, (this.#takes.get(lease) ?? 0) + 1);
    try {
      return await super.take(queue, lease, noAck, sink);
    } finally {
      this.#takes.set(lease, this.#takes.get(lease)! - 1);
    }
  }

  /** Behind the takes that were asked for before. */
  override async release(lease: Lease): Promise<void> {
    while ((this.#takes.get(lease) ?? 0) > 0) await new Promise<void>((resolve) => this.#clock.defer(resolve));
    return super.release(lease);
  }
}

/** A factory for one seed: its store outlives the engines. */
export function plainEngine(...defects: Defect[]): EngineFactory {
  const store = new ModelStore();
  return (_files, clock) => new PlainEngine(store, clock, new Set(defects));
}
