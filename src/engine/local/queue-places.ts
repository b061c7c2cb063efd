/** Where in the segments a queue's messages lie: for compaction, which moves them, and for recovery, which looks for what is missing. */
import { ChunkCursor } from './chunk-list.ts';
import type { LocalQueue } from './queue.ts';

/** Messages that were copied: their numbers, and where they lie now. */
export type Piece = readonly [first: number, count: number, segment: number, offset: number];

/** Whether something that lives lies in the segment. */
export function liesInSegment(queue: LocalQueue, segment: number): boolean {
  for (const page of queue.delayed.messages.pages)
    for (let at = 0; at < page.size; at++) if (page.segmentOf(at) === segment && !page.isGone(at)) return true;
  return queue.levels.some((level) =>
    level.chunks.pages.some((page) => {
      for (let chunk = 0; chunk < page.size; chunk++) {
        const living =
          page.segmentOf(chunk) === segment &&
          queue.held.settledIn(page.firstOf(chunk), page.countOf(chunk)) < page.countOf(chunk);
        if (living) return true;
      }
      return false;
    }),
  );
}

/** A stream that is larger than this has no segment moved that its retention is about to empty. */
const LARGE_STREAM_BYTES = 128 * 1024 * 1024;

/** The segments in which large streams with a retention have their oldest messages. */
export function headSegments(streams: Iterable<LocalQueue>): ReadonlySet<number> {
  const heads = new Set<number>();
  const place = new ChunkCursor();
  for (const { stream, levels, aliveBytes } of streams) {
    if (aliveBytes <= LARGE_STREAM_BYTES || !stream!.isLimited) continue;
    if (levels[0]!.chunks.seek(stream!.first, place)) heads.add(place.page!.segmentOf(place.chunk));
  }
  return heads;
}

/** Whether the run at this place, with these numbers, is where the queue's messages still lie. */
export function liesAt(queue: LocalQueue, first: number, count: number, segment: number, offset: number): boolean {
  const place = new ChunkCursor();
  if (!queue.levelOf(first).chunks.seek(first, place)) return false;
  const page = place.page!;
  const { chunk } = place;
  return (
    page.firstOf(chunk) === first &&
    page.countOf(chunk) === count &&
    page.segmentOf(chunk) === segment &&
    page.offsetOf(chunk) === offset
  );
}

/** A run of the queue was copied: its living messages lie in `pieces` now. */
export function relocate(queue: LocalQueue, oldFirst: number, pieces: readonly Piece[]): void {
  const { segments } = queue.host;
  const { chunks } = queue.levelOf(oldFirst);
  const place = new ChunkCursor();
  if (!chunks.seek(oldFirst, place)) return;
  const old = place.page!.segmentOf(place.chunk);
  // At replay: what the same group settled was not moved, and its `SETTLED` entry stands behind. It has no chunk then to be counted in.
  let from = oldFirst;
  const end = oldFirst + place.page!.countOf(place.chunk);
  for (const [first, count] of [...pieces, [end, 0] as const]) {
    for (const [dead, n] of queue.living(from, first - from)) chunks.settle(dead, n, queue.segmentSettled);
    from = first + count;
  }
  chunks.relocate(oldFirst, pieces);
  for (const [, count, segment] of pieces) {
    segments.appended(segment, count);
    segments.settled(old, count);
  }
}
