import type { Opened } from './fixture.ts';
import { ManualClock } from './manual-clock.ts';
import { type Defect, ModelEngine, ModelStore } from './model-engine.ts';

/** The model with a store and a clock of its own, and with whatever is planted into it. */
export function openModel(...defects: Defect[]): Promise<Opened> {
  const store = new ModelStore();
  const clock = new ManualClock();
  let engine = new ModelEngine(store, clock, new Set(defects));
  const again = (): Promise<ModelEngine> => {
    engine.kill();
    engine = new ModelEngine(store, clock, new Set(defects));
    return Promise.resolve(engine);
  };
  return Promise.resolve({
    engine,
    reopen: again,
    crash: again,
    advance: (ms) => clock.advance(ms),
    now: () => clock.now(),
    cleanup: () => Promise.resolve(),
  });
}
