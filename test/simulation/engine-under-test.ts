/** The embedded engine with sizes so small that a seed sees many segments, checkpoints and compactions. */
import { localEngine } from '../../src/engine/local/index.ts';
import { Random } from './random.ts';
import { dataDirectory, type EngineFactory } from './simulation.ts';

const KiB = 1024;

export const engineUnderTest: EngineFactory = (files, clock, random, roomy) => {
  // Another in each life.
  const salts = new Random(clock.now(), 5);
  const segmentBytes = (roomy ? 128 : random.pick([8, 16, 32])) * KiB;
  return localEngine(dataDirectory, {
    files,
    clock,
    segmentBytes,
    firstSegmentBytes: roomy ? segmentBytes : random.pick([8, segmentBytes / KiB]) * KiB,
    blockBytes: random.pick([2, 4, 8]) * KiB,
    windowBytes: random.pick([4, 8, 32]) * KiB,
    checkpointBytes: random.pick([4, 16, 48]) * KiB,
    behindBytes: random.pick([8, 64]) * KiB,
    spareSegments: random.below(3),
    reserveBytes: 64 * KiB,
    sparseShare: random.pick([0.25, 0.5, 0.9]),
    scrubIntervalMs: random.pick([0, 1000, 5000]),
    randomBits: () => salts.uint32(),
  });
};
