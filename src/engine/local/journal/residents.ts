/** Whose messages, not settled yet, lie in a range of a segment. Walks all chunks of all queues: for when damage was found. */
import type { LocalQueue } from '../queue.ts';
import type { LocalTopology } from '../topology.ts';
import type { ByteRange } from './segment-scan.ts';

export interface Resident {
  readonly queue: LocalQueue;
  /** Offset of the run in the segment. */
  readonly offset: number;
  /** Messages in the run. */
  readonly count: number;
}

/** Runs in which a message lives, that begin within the range. */
export function* residentsOf(topology: LocalTopology, segment: number, range: ByteRange): Generator<Resident> {
  for (const queue of topology.queues.values()) {
    for (const level of queue.levels) {
      for (const page of level.chunks.pages) {
        for (let chunk = 0; chunk < page.size; chunk++) {
          const offset = page.offsetOf(chunk);
          if (page.segmentOf(chunk) !== segment || offset < range.from || offset >= range.to) continue;
          const count = page.countOf(chunk);
          if (queue.held.settledIn(page.firstOf(chunk), count) < count) yield { queue, offset, count };
        }
      }
    }
  }
}
