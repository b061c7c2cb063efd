/** The messages of a queue that are due later: how they come, become ready, or go before they are. */
import { DelayedMessages } from './delayed-messages.ts';
import type { Level } from './level.ts';
import type { LocalQueue } from './queue.ts';

/** Later than any date. */
const LATEST = 2 ** 52;
/** Told to the journal in one entry. */
const MOST_NOTED = 128;

export class QueueDelayed {
  readonly messages = new DelayedMessages();
  readonly #queue: LocalQueue;

  constructor(queue: LocalQueue) {
    this.#queue = queue;
  }

  /** The message that was just written, in a run of its own. */
  append(due: number, priority: number, segment: number, offset: number, expires: boolean, bodyBytes: number): void {
    const { host } = this.#queue;
    const dueAt = Math.min(LATEST, Math.ceil(due));
    const number = this.messages.append(dueAt, priority, segment, offset, expires, bodyBytes);
    host.segments.appended(segment, 1);
    host.dueTimes.add(dueAt, number, this.#queue);
  }

  /** These, which are waiting, are due: they get their places in the queue as if they were appended now. */
  becomeReady(numbers: readonly number[]): void {
    const queue = this.#queue;
    const { journal, dispatcher } = queue.host;
    for (let from = 0; from < numbers.length; from += MOST_NOTED) {
      const some = numbers.slice(from, from + MOST_NOTED);
      queue.notes.due(some);
      for (const number of some) this.number(number)?.numbered(journal.sequence, queue.next - 1);
    }
    queue.stream?.changed();
    dispatcher.touch(queue);
  }

  /** Gives a delayed message the next number of its queue. Returns the level where it has its place now. */
  number(number: number): Level | null {
    const queue = this.#queue;
    const { messages } = this;
    if (!messages.find(number)) return null;
    const page = messages.page!;
    const { at } = messages;
    const level = queue.levelFor(page.priorityOf(at));
    queue.host.identities.becameReady(queue, number, queue.next);
    level.chunks.append(queue.next++, 1, page.segmentOf(at), page.offsetOf(at));
    queue.ready++;
    queue.readyBytes += page.bytesOf(at);
    queue.aliveBytes += page.bytesOf(at);
    if (page.expires(at)) queue.sawExpiring = true;
    queue.stream?.replayed(queue.next - 1, page.bytesOf(at), page.dueAtOf(at));
    messages.remove();
    return level;
  }

  /** Takes one out before it is due. False: it is not waiting. */
  cancel(number: number): boolean {
    if (!this.remove(number)) return false;
    this.#queue.notes.cancelled(number);
    this.#queue.host.dueTimes.forget(1);
    return true;
  }

  remove(number: number): boolean {
    const { messages } = this;
    if (!messages.find(number)) return false;
    const segment = messages.page!.segmentOf(messages.at);
    messages.remove();
    this.#queue.segmentSettled(segment, 1);
    return true;
  }

  /** The message was copied, and lies here now. */
  relocate(number: number, segment: number, offset: number): void {
    const { messages } = this;
    if (!messages.find(number)) return;
    const old = messages.page!.segmentOf(messages.at);
    messages.page!.relocate(messages.at, segment, offset);
    this.#queue.host.segments.appended(segment, 1);
    this.#queue.segmentSettled(old, 1);
  }

  liesAt(number: number, segment: number, offset: number): boolean {
    const { messages } = this;
    if (!messages.find(number)) return false;
    return messages.page!.segmentOf(messages.at) === segment && messages.page!.offsetOf(messages.at) === offset;
  }

  /** The queue is deleted. */
  clear(): void {
    const { messages } = this;
    for (const page of messages.pages) {
      let segment = 0;
      let count = 0;
      for (let at = 0; at < page.size; at++) {
        if (page.isGone(at)) continue;
        if (page.segmentOf(at) !== segment && count > 0) {
          this.#queue.segmentSettled(segment, count);
          count = 0;
        }
        segment = page.segmentOf(at);
        count++;
      }
      if (count > 0) this.#queue.segmentSettled(segment, count);
    }
    this.#queue.host.dueTimes.forget(messages.count);
    messages.clear();
  }
}
