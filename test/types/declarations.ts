/**
 * What the compiler must say of programs that use the API: judged by `tsc` (npm run typecheck, and test/package against the
 * built declarations), never run.
 */
/* eslint-disable @typescript-eslint/no-unused-vars, @typescript-eslint/no-unsafe-call -- only types are looked at */
import {
  connect,
  type Consumer,
  type EmbeddedMq,
  type ErrorCode,
  type FailureEnd,
  type Message,
  type Mq,
  PostriderError,
  type Queue,
  type Serializer,
  type Topic,
} from 'postrider';
import type { Equal, Expect } from './equal.ts';

interface Order {
  id: number;
  item: string;
}

export async function urls(url: string): Promise<void> {
  const file = await connect('file:./data');
  const memory = await connect('memory:');
  const remote = await connect('amqp://localhost');
  const any = await connect(url);
  const object = await connect(new URL(url), { name: 'shop', connectTimeoutMs: 5_000 });
  type _ = [
    Expect<Equal<typeof file, EmbeddedMq>>,
    Expect<Equal<typeof memory, EmbeddedMq>>,
    Expect<Equal<typeof remote, Mq>>,
    Expect<Equal<typeof any, Mq>>,
    Expect<Equal<typeof object, Mq>>,
  ];
  const { amqp } = await file.listen({ amqp: { port: 0 } });
  amqp?.port.toFixed();
  const { mqtt, ws } = await file.listen({ mqtt: true, ws: { port: 0, host: '::1' } });
  type _places = Expect<Equal<typeof mqtt, typeof ws>>;
  // @ts-expect-error -- only a broker in this process can listen
  await remote.listen({ amqp: true });
  // @ts-expect-error -- no such option
  await connect('memory:', { timeout: 5 });
}

export async function payloads(mq: Mq): Promise<void> {
  const told = await mq.queue<Order>('orders');
  const untold = await mq.queue('anything');
  const topic = mq.topic<Order>('orders.placed');
  const subscription = await topic.subscribe('billing');
  type _ = [
    Expect<Equal<typeof told, Queue<Order>>>,
    Expect<Equal<typeof untold, Queue>>,
    Expect<Equal<typeof topic, Topic<Order>>>,
    Expect<Equal<typeof subscription, Queue<Order>>>,
    Expect<Equal<typeof told.deadLetters, Queue | null>>,
  ];
  await told.publish({ id: 1, item: 'lamp' });
  await told.publishAll(new Set([{ id: 1, item: 'lamp' }]));
  await untold.publish(7);
  // @ts-expect-error -- an order has an item
  await told.publish({ id: 1 });
  // @ts-expect-error -- and its id is a number
  await topic.publish({ id: '1', item: 'lamp' });
  // @ts-expect-error -- each of them
  await told.publishAll([{ id: 1, item: 'lamp' }, 'lamp']);

  const consumer = await told.consume((order, message) => {
    type _ = [Expect<Equal<typeof order, Order>>, Expect<Equal<typeof message, Message<Order>>>];
  });
  type Consumed = Expect<Equal<typeof consumer, Consumer<Order>>>;
  await untold.consume((payload) => {
    type _ = Expect<Equal<typeof payload, unknown>>;
  });
  for await (const message of subscription.messages()) {
    type _ = Expect<Equal<typeof message, Message<Order>>>;
  }
  const peeked = await told.peek();
  const answer = await told.request<{ cents: number }>({ id: 1, item: 'lamp' });
  const unknown = await told.request({ id: 1, item: 'lamp' });
  type Results = [
    Consumed,
    Expect<Equal<typeof peeked, Message<Order>[]>>,
    Expect<Equal<typeof answer, { cents: number }>>,
    Expect<Equal<typeof unknown, unknown>>,
  ];
}

export async function options(mq: Mq): Promise<void> {
  const queue = await mq.queue<Order>('orders', { priorities: 3, overflow: 'drop-oldest', maxLength: 10 });
  await queue.consume(() => undefined, { concurrency: 5, retry: { attempts: 3 }, ack: 'manual' });
  await queue.consume(async () => {}, { retry: false, timeoutMs: Infinity, signal: AbortSignal.timeout(1) });
  await queue.publish({ id: 1, item: 'lamp' }, { priority: 2, delayMs: 10, headers: { trace: 'a', nested: { n: 1 } } });
  // @ts-expect-error -- maxLength
  await mq.queue('orders', { maxLenght: 10 });
  // @ts-expect-error -- 'reject' or 'drop-oldest'
  await mq.queue('orders', { maxLength: 10, overflow: 'drop-head' });
  // @ts-expect-error -- delayMs
  await queue.publish({ id: 1, item: 'lamp' }, { delay: 10 });
  // @ts-expect-error -- 'auto' or 'manual'
  await queue.consume(() => undefined, { ack: false });
  // @ts-expect-error -- the topic has the schema, its subscriptions have the rest
  await mq.topic('orders').subscribe('billing', { schema: {} });
  // @ts-expect-error -- requests are never retried
  await queue.respond(() => 1, { retry: false });
}

export async function serializers(mq: Mq): Promise<void> {
  const orders: Serializer<Order> = {
    contentType: 'text/csv',
    serialize: ({ id, item }) => `${id},${item}`,
    deserialize: (bytes) => {
      const [id, item = ''] = bytes.toString().split(',');
      return { id: Number(id), item };
    },
  };
  const queue = await mq.queue('orders', { serializer: orders });
  type _ = Expect<Equal<typeof queue, Queue<Order>>>;
  // @ts-expect-error -- it makes orders, not texts
  await mq.queue<string>('texts', { serializer: orders });
}

export function events(mq: Mq): void {
  mq.on('handlerFailed', (error, message, then) => {
    type _ = [
      Expect<Equal<typeof error, Error>>,
      Expect<Equal<typeof message, Message>>,
      Expect<Equal<typeof then, FailureEnd>>,
    ];
  });
  mq.on('blocked', (reason) => reason.toUpperCase());
  mq.on('failed', (error) => error.code);
  // @ts-expect-error -- no such event
  mq.on('disconected', () => undefined);
}

/** The union is closed: a switch over it needs no default. */
export function codes(error: unknown): 'again' | 'no' | 'perhaps' {
  if (!(error instanceof PostriderError)) throw error;
  const code: ErrorCode = error.code;
  // @ts-expect-error -- no such code
  if (code === 'QUEUE_IS_FULL') return 'no';
  return code === 'QUEUE_FULL' ? 'again' : code === 'UNKNOWN_OUTCOME' ? 'perhaps' : 'no';
}

export async function disposal(): Promise<void> {
  await using mq = await connect('memory:');
  const queue = await mq.queue<Order>('orders');
  await using consumer = await queue.consume(() => undefined);
  await consumer.closed;
}
