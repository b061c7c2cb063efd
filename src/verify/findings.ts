/** Gathers violations: counts all, keeps the first few of each rule, and afterwards finds what was seen of those. */
import type { HistoryEvent, MessageId } from './history.ts';
import type { QueueBook } from './ledger.ts';
import { noViolations, RULES } from './verdict.ts';
import type { Rule, Violation } from './verdict.ts';

const SEEN_LIMIT = 20;

const PHRASES: Record<Rule, string> = {
  lost: 'confirmed messages lost',
  duplicated: 'deliveries of a message that had been delivered before',
  rejectedDelivered: 'rejected messages delivered',
  phantom: 'messages that nobody published to that queue',
  corrupted: 'bodies other than what was published',
  reordered: 'messages out of their order',
  unflaggedRepeat: 'repeats not flagged redelivered',
  resurrected: 'deliveries of messages that were durably settled or removed',
  effectMissing: 'confirmed messages without their effect',
  effectRepeated: 'effects too many',
  effectOfRejected: 'effects of rejected messages',
};

interface Kept {
  readonly rule: Rule;
  readonly queue: string;
  readonly id: MessageId;
  readonly beside: MessageId | undefined;
  readonly sentence: string;
  readonly seen: HistoryEvent[];
}

export class Findings {
  readonly rules = noViolations();
  readonly #keep: number;
  readonly #kept: Kept[] = [];

  /** @param keep how many violations of each rule are kept with what was seen. */
  constructor(keep: number) {
    this.#keep = keep;
  }

  /** @param sentence made only for a violation that is kept. @param beside another message that the violation is about. */
  report(rule: Rule, queue: QueueBook, id: MessageId, sentence: () => string, times = 1, beside?: MessageId): void {
    const before = this.rules[rule];
    this.rules[rule] += times;
    queue.counts[rule] += times;
    if (before >= this.#keep) return;
    this.#kept.push({ rule, queue: queue.name, id, beside, sentence: sentence(), seen: [] });
  }

  get any(): boolean {
    return RULES.some((rule) => this.rules[rule] > 0);
  }

  reasons(): string[] {
    return RULES.filter((rule) => this.rules[rule] > 0).map((rule) => `${this.rules[rule]} ${PHRASES[rule]}`);
  }

  /** Goes through the history once more for what it says of the kept violations. */
  gather(history: Iterable<HistoryEvent>): void {
    const about = new Map<MessageId, Kept[]>();
    for (const kept of this.#kept) {
      for (const id of kept.beside === undefined ? [kept.id] : [kept.id, kept.beside]) {
        about.set(id, [...(about.get(id) ?? []), kept]);
      }
    }
    for (const event of history) {
      if (!('id' in event) || event.id === undefined) continue;
      for (const kept of about.get(event.id) ?? []) {
        const elsewhere = 'queue' in event && event.queue !== kept.queue;
        if (!elsewhere && kept.seen.length < SEEN_LIMIT) kept.seen.push(event);
      }
    }
  }

  violations(): Violation[] {
    return this.#kept.map(({ rule, queue, id, sentence, seen }) => ({ rule, queue, id, sentence, seen }));
  }
}
