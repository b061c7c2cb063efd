/** How a queue is put together again at a start: what the journal's tail did to it, and what is ready then. */
import type { Level } from './level.ts';
import type { LocalQueue } from './queue.ts';

/** A run of the journal's tail. */
export function replayRun(
  queue: LocalQueue,
  first: number,
  count: number,
  bodyBytes: number,
  priority: number,
  segment: number,
  offset: number,
  expires: boolean,
): void {
  const level = queue.levelFor(priority);
  queue.next = first + count;
  queue.aliveBytes += bodyBytes;
  level.chunks.append(first, count, segment, offset);
  level.end = first + count;
  queue.host.segments.appended(segment, count);
  if (expires) queue.sawExpiring = true;
}

/** A delayed message of the journal's tail. */
export function replayDelayed(
  queue: LocalQueue,
  number: number,
  dueAt: number,
  bodyBytes: number,
  priority: number,
  segment: number,
  offset: number,
  expires: boolean,
): void {
  queue.delayed.messages.next = number;
  queue.delayed.append(dueAt, priority, segment, offset, expires, bodyBytes);
}

/** These delayed messages became ready, numbered from `first` on. */
export function replayDue(queue: LocalQueue, first: number, numbers: readonly number[]): void {
  queue.next = first;
  for (const number of numbers) {
    const level = queue.delayed.number(number);
    if (level !== null) level.end = queue.next;
  }
}

export function replaySettled(queue: LocalQueue, first: number, count: number): void {
  queue.held.settleReady(first, count);
  queue.forget(first, count);
}

/** Everything is replayed: what is not settled is ready, in its place, flagged and counted as the journal can tell. */
export function finishRecovery(queue: LocalQueue, clean: boolean): void {
  for (const level of queue.levels) recoverLevel(queue, level, clean);
  for (const [number, deliveries] of queue.counts) {
    if (number < queue.levelOf(number).head) continue;
    if (deliveries === 0) queue.counts.delete(number);
    else queue.freshRepeats++;
  }
  queue.ready = queue.levels.reduce((sum, level) => sum + level.ready + level.spent.size, 0);
  if (queue.ready === 0) queue.aliveBytes = 0;
  queue.readyBytes = queue.aliveBytes;
  queue.stream?.recovered();
}

function recoverLevel(queue: LocalQueue, level: Level, clean: boolean): void {
  const { notedDelivered, notedMayBelow } = level;
  if (!clean) level.flaggedBelow = Math.max(level.flaggedBelow, notedMayBelow);
  const freshFrom = clean ? notedDelivered : Math.max(notedDelivered, notedMayBelow);
  level.head = freshFrom;
  level.end = Math.max(level.end, freshFrom);
  level.mayBelow = freshFrom;
  level.notedMayBelow = freshFrom;
  level.fresh = 0;
  for (const page of level.chunks.pages) level.fresh += page.alive;
  for (const [first, count] of level.chunks.ranges(0)) {
    if (first >= freshFrom) break;
    for (const [from, n] of queue.living(first, Math.min(count, freshFrom - first))) {
      level.fresh -= n;
      for (let number = from; number < from + n; number++) {
        // What may have been delivered counts as delivered once; from its next delivery on the count is exact.
        if (!queue.counts.has(number)) queue.counts.set(number, 1);
        queue.comeBack(level, number);
      }
    }
  }
}
