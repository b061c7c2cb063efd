/** Whose messages, not settled yet, lie in a range of a segment. Walks all chunks of all queues: for when damage was found. */
import type { LocalQueue } from '../queue.ts';
import type { LocalTopology } from '../topology.ts';
import type { ByteRange } from './segment-scan.ts';

export interface Resident {
  readonly queue: LocalQueue;
  /** It is not due yet: the number is one among the queue's delayed messages. */
  readonly delayed: boolean;
  /** Number of the first message in the run. */
  readonly first: number;
  /** Offset of the run in the segment. */
  readonly offset: number;
  /** Messages in the run. */
  readonly count: number;
}

/** Runs in which a message lives, that begin within the range. */
export function* residentsOf(topology: LocalTopology, segment: number, range: ByteRange): Generator<Resident> {
  for (const queue of topology.queues.values()) {
    for (const page of queue.delayed.messages.pages) {
      for (let at = 0; at < page.size; at++) {
        const offset = page.offsetOf(at);
        if (page.segmentOf(at) !== segment || offset < range.from || offset >= range.to || page.isGone(at)) continue;
        yield { queue, delayed: true, first: page.numberOf(at), offset, count: 1 };
      }
    }
    for (const level of queue.levels) {
      for (const page of level.chunks.pages) {
        for (let chunk = 0; chunk < page.size; chunk++) {
          const offset = page.offsetOf(chunk);
          if (page.segmentOf(chunk) !== segment || offset < range.from || offset >= range.to) continue;
          const first = page.firstOf(chunk);
          const count = page.countOf(chunk);
          if (queue.held.settledIn(first, count) < count) yield { queue, delayed: false, first, offset, count };
        }
      }
    }
  }
}
