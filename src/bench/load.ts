import type { Address } from './connection.ts';
import type { PublisherPlan } from './publisher.ts';
import type { SubscriberPlan } from './subscriber.ts';
import type { Findings } from './tally.ts';

// What the benchmark and its two load processes say to each other.

export type ProducerRequest =
  | { verb: 'open'; address: Address; plans: PublisherPlan[] }
  | { verb: 'start' }
  | { verb: 'mark' }
  | { verb: 'stop' }
  | { verb: 'close' };

export type ConsumerRequest =
  | { verb: 'open'; address: Address; plans: SubscriberPlan[] }
  | { verb: 'mark'; forgetLatencies?: boolean }
  /** Ends the streams: how many messages were sent to each consumer's queue. */
  | { verb: 'settle'; sent: number[] }
  | { verb: 'close' };

export interface ProducerMark {
  /** Milliseconds of the monotonic clock, which all processes of a machine share. */
  atMs: number;
  sent: number[];
  confirmed: number;
  settled: boolean;
  /** Milliseconds of processor time that this process has used. */
  cpuMs: number;
}

export interface ConsumerMark {
  atMs: number;
  received: number;
  latency?: Latency;
  cpuMs: number;
}

export interface Latency {
  count: number;
  p50Ms: number;
  p99Ms: number;
  p999Ms: number;
  maxMs: number;
}

export interface ConsumerEnd {
  received: number;
  redelivered: number;
  findings: Findings;
  /** For each consumer, when it asked for messages and when the last one came. */
  spans: { received: number; startedMs: number; lastMs: number }[];
}

/** The envelope of a request, its answer, and a failure that nobody asked for. */
export interface Asked<Request> {
  id: number;
  request: Request;
}

export type Answered = { id: number; value: unknown } | { id: number; error: string } | { failure: string };

export function monotonicMs(): number {
  const [sec, nsec] = process.hrtime();
  return sec * 1000 + nsec / 1e6;
}

export function cpuMs(): number {
  const used = process.cpuUsage();
  return (used.user + used.system) / 1000;
}
