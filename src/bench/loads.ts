import { randomBytes } from 'node:crypto';
import type { Load } from './load-run.ts';
import type { PublisherPlan } from './publisher.ts';
import type { SubscriberPlan } from './subscriber.ts';

/** What the loads share unless a row says otherwise; the same for every broker. */
const usual = { bodyBytes: 100, window: 1000, prefetch: 2000, ackEvery: 50 };

export interface Shape {
  bodyBytes?: number;
  window?: number;
  /** Publishes in transactions of so many messages. */
  transaction?: number;
  ackEvery?: number;
  ratePerS?: number;
  delayMs?: number;
  count?: number;
  maxLatencies?: number;
  prefetch?: number;
}

/** Names that no other round has used. */
export function freshName(what: string): string {
  return `bench-${what}-${randomBytes(4).toString('hex')}`;
}

/** `count` publishers, each to a queue of its own, each queue with one consumer. */
export function pairs(count: number, shape: Shape = {}): Load {
  const prefix = freshName('pair');
  const queues = Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
  return {
    queues,
    publishers: queues.map((queue, stream) => publisher('', [queue], stream, shape)),
    subscribers: queues.map((queue, stream) => subscriber(queue, stream, shape)),
  };
}

/** One publisher to a stream, and one consumer that reads it from its beginning. */
export function streamed(shape: Shape = {}): Load {
  const load = pairs(1, shape);
  return { ...load, streams: true, subscribers: load.subscribers.map((plan) => ({ ...plan, readsStream: true })) };
}

/** One publisher to a fanout exchange that copies to `count` queues, each with one consumer. */
export function fanout(count: number, shape: Shape = {}): Load {
  const name = freshName('fanout');
  const queues = Array.from({ length: count }, (_, index) => `${name}-${String(index).padStart(2, '0')}`);
  return {
    queues,
    exchange: { name, type: 'fanout', keys: [''] },
    publishers: [publisher(name, [''], 0, shape)],
    subscribers: queues.map((queue) => subscriber(queue, 0, shape)),
  };
}

/** One publisher to a topic exchange, going through as many routing keys as there are wildcard bindings. */
export function topic(bindings: number, shape: Shape = {}): Load {
  const name = freshName('topic');
  const sensors = Array.from({ length: bindings }, (_, index) => `sensor.${String(index).padStart(5, '0')}`);
  const wide = { ring: bindings };
  return {
    queues: [name],
    exchange: { name, type: 'topic', keys: sensors.map((sensor) => `${sensor}.*`) },
    publishers: [
      {
        ...publisher(
          name,
          sensors.map((sensor) => `${sensor}.celsius`),
          0,
          shape,
        ),
        ...wide,
      },
    ],
    subscribers: [{ ...subscriber(name, 0, shape), ...wide }],
  };
}

/** One publisher that goes round `count` queues, a message each; consumers come later, see {@link subscriberOf}. */
export function roundRobin(count: number, shape: Shape = {}): Load {
  const prefix = freshName('many');
  const queues = Array.from({ length: count }, (_, index) => `${prefix}-${String(index).padStart(5, '0')}`);
  return {
    queues,
    publishers: [{ ...publisher('', queues, 0, shape), ring: count }],
    subscribers: queues.map((queue, index) => ({
      ...subscriber(queue, 0, shape),
      first: index,
      stride: count,
      ring: count,
    })),
  };
}

function publisher(exchange: string, routingKeys: string[], stream: number, shape: Shape): PublisherPlan {
  const window = shape.transaction ?? shape.window ?? usual.window;
  return {
    exchange,
    routingKeys,
    stream,
    bodyBytes: shape.bodyBytes ?? usual.bodyBytes,
    window,
    ring: ringOf(window),
    ...(shape.transaction === undefined ? {} : { transaction: shape.transaction }),
    ...(shape.count === undefined ? {} : { count: shape.count }),
    ...(shape.delayMs === undefined ? {} : { delayMs: shape.delayMs }),
    ...(shape.ratePerS === undefined ? {} : { ratePerS: shape.ratePerS }),
  };
}

function subscriber(queue: string, stream: number, shape: Shape): SubscriberPlan {
  return {
    queue,
    stream,
    first: 0,
    stride: 1,
    bodyBytes: shape.bodyBytes ?? usual.bodyBytes,
    ring: ringOf(shape.transaction ?? shape.window ?? usual.window),
    prefetch: shape.prefetch ?? usual.prefetch,
    ackEvery: shape.ackEvery ?? usual.ackEvery,
    maxLatencies: shape.maxLatencies ?? 0,
  };
}

/** Twice the window, so that confirms out of order do not hold the publisher up. */
function ringOf(window: number): number {
  return Math.max(64, 2 * window);
}
