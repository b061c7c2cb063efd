/** The online store on a broker: one fanout exchange for orders, one durable queue for each service that cares. */
import { Connection, type ConsumerProps, type PublisherProps } from 'rabbitmq-client';

export const services = ['inventory', 'payment', 'shipping'] as const;
export type Service = (typeof services)[number];

/** How long a service works on an order, and on how many at once: payment is the slow one. */
export const pace: Readonly<Record<Service, { workMs: number; atOnce: number }>> = {
  inventory: { workMs: 1, atOnce: 20 },
  payment: { workMs: 8, atOnce: 40 },
  shipping: { workMs: 2, atOnce: 20 },
};

/** Names carry a prefix on a broker that is not the demo's own. */
export function exchangeOf(prefix: string): string {
  return `${prefix}orders`;
}

export function queueOf(prefix: string, service: Service): string {
  return prefix + service;
}

/** What every program declares, so that none needs to be first. */
export function topology(prefix: string): Required<Pick<PublisherProps, 'queues' | 'exchanges' | 'queueBindings'>> {
  const exchange = exchangeOf(prefix);
  return {
    exchanges: [{ exchange, type: 'fanout', durable: true }],
    queues: services.map((service) => ({ queue: queueOf(prefix, service), durable: true })),
    queueBindings: services.map((service) => ({ exchange, queue: queueOf(prefix, service) })),
  };
}

/** The part of the topology that one service needs. */
export function consumption(
  prefix: string,
  service: Service,
): Required<Pick<ConsumerProps, 'queue' | 'queueOptions' | 'exchanges' | 'queueBindings'>> {
  const { exchanges, queueBindings } = topology(prefix);
  const queue = queueOf(prefix, service);
  return {
    queue,
    queueOptions: { queue, durable: true },
    exchanges,
    queueBindings: queueBindings.filter((binding) => binding.queue === queue),
  };
}

/** A connection that comes back within a fraction of a second. Its errors are part of the story, hence only logged. */
export function connectTo(url: string, name: string, log: (line: string) => void = console.error): Connection {
  const connection = new Connection({
    url,
    connectionName: name,
    retryLow: 50,
    retryHigh: 400,
    connectionTimeout: 3000,
    acquireTimeout: 60_000,
  });
  connection.on('error', (error: Error) => log(`${name}: ${error.message}`));
  connection.on('connection', () => log(`${name}: connected`));
  return connection;
}

export interface Order {
  readonly number: number;
  readonly customer: string;
  readonly item: string;
  readonly quantity: number;
}

const items = ['bicycle', 'kettle', 'lamp', 'notebook', 'rucksack', 'teapot', 'umbrella'];

export function order(number: number): Order {
  return {
    number,
    customer: `customer-${(number * 7919) % 4096}`,
    item: items[number % items.length]!,
    quantity: 1 + (number % 3),
  };
}
