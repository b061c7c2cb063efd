/** What each program of the demo does as a child process: take its part, report, and end with its parent. */
import type { Service } from './store.ts';

/** The part, as the director gave it on the command line. */
export function part<T>(): T {
  return JSON.parse(process.argv[2] ?? '{}') as T;
}

/** Reports every `everyMs`, and calls `told` with each message of the director. */
export function play(report: () => object, told: (message: Told) => void, everyMs = 100): void {
  // Ctrl-C reaches every process of the terminal; the director ends its children in order.
  process.on('SIGINT', () => undefined);
  process.on('disconnect', () => process.exit(0));
  process.on('message', (message) => told(message as Told));
  setInterval(() => tell(report()), everyMs).unref();
}

export function tell(message: object): void {
  if (process.connected) process.send?.(message, () => undefined);
}

/** `open`: the shop takes orders from now on. `burst`: each sensor publishes some readings. */
export type Told =
  | { readonly do: 'stop' }
  | { readonly do: 'open' }
  | { readonly do: 'rush'; readonly count: number }
  | { readonly do: 'burst' };

/** A worker that is told to end has so long for what it has in hand. */
export const stopMs = 2000;

/** What whoever places the orders is told. */
export interface OrdersPart {
  readonly historyDirectory: string;
  readonly orders: number;
  readonly perSecond: number;
}

/** What each of the services is told. */
export interface WorkerPart {
  readonly url: string;
  /** Of the names on the broker. */
  readonly prefix: string;
  readonly historyDirectory: string;
  readonly service: Service;
}

/** Counts of whoever places the orders. */
export interface OrdersReport {
  readonly placed: number;
  readonly confirmed: number;
  /** Attempts of which nobody knows whether they were stored. */
  readonly unknown: number;
  readonly rejected: number;
  /** Placed and not confirmed yet. */
  readonly open: number;
  readonly done: boolean;
  /** The broker cannot be reached at the moment. */
  readonly offline: boolean;
  /** A rush has begun to be sent. */
  readonly rushing: boolean;
}

/** Counts of one life of a worker. */
export interface WorkReport {
  readonly received: number;
  readonly redelivered: number;
  /** Handlers that run. */
  readonly open: number;
  readonly ready: boolean;
}
