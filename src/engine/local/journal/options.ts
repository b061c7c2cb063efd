import { randomBytes } from 'node:crypto';

/** Sizes of the journal, and where its chance comes from. The defaults serve; tests make them small, and the same each time. */
export interface JournalOptions {
  /** Recent bytes kept in memory. Default 32 MiB. */
  readonly windowBytes: number;
  /** Size of a block of the window, and about the most that one group holds. Default 1 MiB. */
  readonly blockBytes: number;
  /** Size of the first segment after a start; the next ones double up to `segmentBytes`. Default 4 MiB. */
  readonly firstSegmentBytes: number;
  /** Default 32 MiB. */
  readonly segmentBytes: number;
  /** A checkpoint is written when this much was appended since the last. Default 64 MiB. */
  readonly checkpointBytes: number;
  /** Publishers are held back while more than this waits for the disk. Default 64 MiB. */
  readonly behindBytes: number;
  /** Segments kept to be used again instead of being deleted. Default 4. */
  readonly spareSegments: number;
  /** Kept on disk so that a checkpoint can be written when the disk is full. Default 4 MiB. */
  readonly reserveBytes: number;
  /** A sealed segment with less than this share alive is compacted. Default 0.25. */
  readonly sparseShare: number;
  /** Milliseconds between two looks of the scrub at a sealed segment. Default 30 s; 0: no scrub. */
  readonly scrubIntervalMs: number;
  /** 32 random bits, for the salt of a segment. Nobody may be able to foretell them. Default: the system's. */
  readonly randomBits: () => number;
}

const MiB = 1024 * 1024;

export const defaultJournalOptions: JournalOptions = {
  windowBytes: 32 * MiB,
  blockBytes: MiB,
  firstSegmentBytes: 4 * MiB,
  segmentBytes: 32 * MiB,
  checkpointBytes: 64 * MiB,
  behindBytes: 64 * MiB,
  spareSegments: 4,
  reserveBytes: 4 * MiB,
  sparseShare: 0.25,
  scrubIntervalMs: 30_000,
  randomBits: () => randomBytes(4).readUInt32LE(),
};
