/** What of a queue outlives the process besides its chunks: how a checkpoint writes it, and how recovery puts it together again. */
import type { Level } from './level.ts';
import type { LocalQueue } from './queue.ts';
import type { EntryReader, EntryWriter } from './journal/directory.ts';
import type { SegmentTable } from './segments.ts';

/**
 *   f64 next number, f64 ready and held bytes, f64 floor, u8 saw expiring,
 *   u32 n, n x { f64 first, u32 count } settled above the floor, u32 n, n x { f64 number, u32 deliveries }
 */
export function writeQueue(writer: EntryWriter, queue: LocalQueue): void {
  writer.f64(queue.next);
  writer.f64(queue.aliveBytes);
  writer.f64(queue.held.floor);
  writer.u8(queue.sawExpiring ? 1 : 0);
  const ranges = queue.held.settledRanges();
  writer.u32(ranges.length / 2);
  for (let i = 0; i < ranges.length; i += 2) {
    writer.f64(ranges[i]!);
    writer.u32(ranges[i + 1]!);
  }
  const counts = deliveryCounts(queue);
  writer.u32(counts.size);
  for (const [number, deliveries] of counts) {
    writer.f64(number);
    writer.u32(deliveries);
  }
}

/** As `COUNTED` entries say it: the delivery under way, or about to happen, included. */
function deliveryCounts(queue: LocalQueue): ReadonlyMap<number, number> {
  const counts = new Map(queue.counts);
  for (const [number, deliveries] of queue.counts) if (queue.isDelivered(number)) counts.set(number, deliveries + 1);
  for (const level of queue.levels) {
    for (const number of level.announced.values()) counts.set(number, (queue.counts.get(number) ?? 0) + 1);
    if (level.parked === null) continue;
    for (const { number, announcedIn } of level.parked.all())
      if (announcedIn !== 0) counts.set(number, (queue.counts.get(number) ?? 0) + 1);
  }
  return counts;
}

export function readQueue(reader: EntryReader, queue: LocalQueue): void {
  queue.next = reader.f64();
  queue.aliveBytes = reader.f64();
  queue.held.restoreFloor(reader.f64());
  queue.sawExpiring = reader.u8() === 1;
  for (let n = reader.u32(); n > 0; n--) queue.held.settleReady(reader.f64(), reader.u32());
  for (let n = reader.u32(); n > 0; n--) queue.counts.set(reader.f64(), reader.u32());
}

/** Bytes of what `writeLevel` writes. */
export const LEVEL_BYTES = 1 + 3 * 8;

/** How far a level's deliveries came: u8 priority, f64 delivered below, f64 may be delivered below, f64 flagged below. Its pages follow. */
export function writeLevel(writer: EntryWriter, level: Level): void {
  writer.u8(level.priority);
  writer.f64(level.delivered);
  writer.f64(level.notedMayBelow);
  writer.f64(level.flaggedBelow);
}

export function readLevel(reader: EntryReader, queue: LocalQueue): Level {
  const level = queue.levelFor(reader.u8());
  level.notedDelivered = reader.f64();
  level.notedMayBelow = reader.f64();
  level.flaggedBelow = reader.f64();
  return level;
}

/** Counts what is alive in the queue's pages and segments, from what is settled. Before anything is replayed. */
export function countAlive(queue: LocalQueue, segments: SegmentTable): void {
  for (const page of queue.delayed.messages.pages)
    for (let at = 0; at < page.size; at++) if (!page.isGone(at)) segments.revived(page.segmentOf(at), 1);
  for (const level of queue.levels) {
    for (const page of level.chunks.pages) {
      let alive = 0;
      for (let chunk = 0; chunk < page.size; chunk++) {
        const first = page.firstOf(chunk);
        const count = page.countOf(chunk);
        const living = count - queue.held.settledIn(first, count);
        alive += living;
        segments.revived(page.segmentOf(chunk), living);
      }
      page.alive = alive;
      level.end = page.end;
    }
    level.chunks.dropDead();
  }
}
