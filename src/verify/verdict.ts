/** What the checker says of a history. Plain data: it prints as JSON. */
import type { HistoryEvent, MessageId } from './history.ts';

export type Guarantee = 'at-most-once' | 'at-least-once' | 'exactly-once';

/** Every rule that can be broken; docs/VERIFY.md says each in full. */
export const RULES = [
  'lost',
  'duplicated',
  'rejectedDelivered',
  'phantom',
  'corrupted',
  'reordered',
  'unflaggedRepeat',
  'resurrected',
  'effectMissing',
  'effectRepeated',
  'effectOfRejected',
] as const;

export type Rule = (typeof RULES)[number];

export interface Counts {
  /** Messages that a producer set out to publish. */
  published: number;
  /** Publishes sent, repeats of the same message included. */
  attempts: number;
  /** Messages by outcome: any attempt confirmed; else any unknown or unanswered; else rejected. */
  confirmed: number;
  unknown: number;
  rejected: number;
  /** Attempts never answered, or not while their producer waited; a later attempt may have been confirmed. */
  unknownAttempts: number;
  delivered: number;
  redelivered: number;
  settled: number;
  effects: number;
  faults: number;
  /** The most messages that were on their way to a queue's consumer when a proven fault struck. */
  inFlightAtFault: number;
}

/** Counts of one queue: messages, not deliveries, except where it says so. A number for each rule: how often it broke. */
export interface QueueVerdict extends Record<Rule, number> {
  /** Confirmed messages that had to reach this queue. */
  expected: number;
  received: number;
  /** Deliveries flagged redelivered. */
  redelivered: number;
  /** Expected, and lawfully removed before any delivery. */
  removed: number;
  /** Expected, neither delivered nor removed: lost, except where at-most-once allows it. */
  undelivered: number;
  effects: number;
}

export interface Violation {
  readonly rule: Rule;
  readonly queue: string;
  readonly id: MessageId;
  readonly sentence: string;
  /** What the history says of this message in this queue, oldest first. */
  readonly seen: readonly HistoryEvent[];
}

export interface Verdict {
  readonly guarantee: Guarantee;
  /** `void`: nothing was seen to break, but there was not enough to judge. */
  readonly verdict: 'held' | 'broken' | 'void';
  /** Why it is broken or void; empty when held. */
  readonly reasons: readonly string[];
  /** What a reader must know, whatever the verdict. */
  readonly notes: readonly string[];
  readonly counts: Readonly<Counts>;
  /** How often each rule was broken, in all queues. */
  readonly rules: Readonly<Record<Rule, number>>;
  readonly queues: Readonly<Record<string, Readonly<QueueVerdict>>>;
  /** The first few of each rule; `rules` counts all. */
  readonly violations: readonly Violation[];
}

export function noViolations(): Record<Rule, number> {
  return {
    lost: 0,
    duplicated: 0,
    rejectedDelivered: 0,
    phantom: 0,
    corrupted: 0,
    reordered: 0,
    unflaggedRepeat: 0,
    resurrected: 0,
    effectMissing: 0,
    effectRepeated: 0,
    effectOfRejected: 0,
  };
}
