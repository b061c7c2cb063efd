import { memoryEngine } from '../../src/engine/local/index.ts';
import { type Refusal, runEngineConformance } from './engine-suite.ts';
import type { Opened } from './fixture.ts';
import { ManualClock } from './manual-clock.ts';
import { runRandomConformance } from './random-suite.ts';

const expectedRefusals: Refusal[] = ['durable'];

function open(): Promise<Opened> {
  const clock = new ManualClock();
  return Promise.resolve({
    engine: memoryEngine(clock),
    advance: (ms) => clock.advance(ms),
    now: () => clock.now(),
    cleanup: () => Promise.resolve(),
  });
}

runEngineConformance('memory:', { open, expectedRefusals });
runRandomConformance('memory:', { open, seeds: [1, 2, 3, 4, 5, 6, 7, 8], steps: 200 });
