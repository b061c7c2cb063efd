/** The embedded engine with tunables so small that a seed sees many segments, checkpoints and compactions. */
import { LocalEngine } from '../../src/engine/local/index.ts';
import { dataDirectory, type EngineFactory } from './simulation.ts';

export const localEngine: EngineFactory = (files, clock, random) =>
  new LocalEngine({
    directory: dataDirectory,
    files,
    clock,
    options: {
      segmentBytes: random.pick([16, 32, 64]) * 1024,
      checkpointBytes: random.pick([8, 32, 100]) * 1024,
      windowBytes: random.pick([4, 16, 64]) * 1024,
    },
  });
