/** The load of the API's rows: orders, as JSON, published and handled by a program of its own. */
import type { Running } from '../broker.ts';
import type { Integrity } from '../load-run.ts';
import type { Timing } from '../load-sides.ts';
import type { Sample } from '../row.ts';

export interface Order {
  readonly id: number;
  readonly customer: string;
  readonly items: readonly number[];
}

/** A library that carries orders. */
export interface OrderQueue {
  /** Resolves once the order is as safe as this library makes it. */
  publish(order: Order): Promise<unknown>;
  /** Orders that are handled without an error are acknowledged. */
  consume(handle: (order: Order) => Promise<void>): Promise<unknown>;
  close(): Promise<void>;
}

/** Which library, and where it finds its broker. */
export interface OrdersRequest {
  readonly library: 'postrider' | 'bullmq' | 'rabbitmq-client' | 'bare';
  /** `file:` or `amqp:` for Postrider's API, `redis:` for BullMQ, `amqp:` for rabbitmq-client, a file's path for the bare loop. */
  readonly url: string;
  readonly timing: Timing;
  /** Publishers and handlers one after the other, instead of at once. */
  readonly apart: boolean;
}

export interface OrdersResult {
  readonly publishedPerS: number;
  readonly handledPerS: number;
  /** Processors' worth of time that the program took in the measured interval. */
  readonly cpu: number;
  readonly integrity: Integrity;
}

/** A contender of the API's rows that is up: runs one round. */
export interface Orders extends Running {
  run(timing: Timing): Promise<Sample>;
}

export function orderOf(id: number): Order {
  return { id, customer: `customer ${id % 1000}`, items: [id % 7, id % 11, id % 13] };
}

export function isOrder({ id, customer, items }: Order): boolean {
  return (
    customer === `customer ${id % 1000}` &&
    items.length === 3 &&
    items[0] === id % 7 &&
    items[1] === id % 11 &&
    items[2] === id % 13
  );
}
