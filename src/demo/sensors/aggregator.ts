/**
 * A service that speaks AMQP and is slower than the sensors: takes their readings from its durable queue, a hundred at a time, and makes
 * the mean of each group. What comes again is counted once: it has the identity of the first.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { bodyHash } from '../../verify/body-hash.ts';
import { FileRecorder } from '../../verify/file-recorder.ts';
import { part, play, stopMs, type Told } from '../role.ts';
import { connectTo } from '../store.ts';
import {
  bindingKey,
  exchange,
  groupOf,
  groups,
  queue,
  type AggregatorPart,
  type AggregatorReport,
  type Reading,
} from './field.ts';

const { url, historyDirectory } = part<AggregatorPart>();
const name = 'aggregator';
const recorder = FileRecorder.in(historyDirectory, name);
const connection = connectTo(url, name);

const atOnce = 100;
/** So at most 5,000 a second. */
const workMs = 20;

const sums = Array.from({ length: groups }, () => ({ readings: 0, celsius: 0 }));
const seen = new Set<string>();
let received = 0;
let redeliveries = 0;
let open = 0;
let ready = false;
let subscriptions = 0;

function add({ id, sensor, celsius }: Reading): void {
  if (seen.has(id)) return;
  seen.add(id);
  const sum = sums[groupOf(sensor)]!;
  sum.readings += 1;
  sum.celsius += celsius;
}

const consumer = connection.createConsumer(
  {
    queue,
    queueOptions: { queue, durable: true },
    queueBindings: [{ exchange, queue, routingKey: bindingKey }],
    qos: { prefetchCount: atOnce },
    // Read anew at each subscription: each is a consumer of its own in the history.
    get consumerTag() {
      return `${name}-${process.pid}-${++subscriptions}`;
    },
  },
  async ({ consumerTag, redelivered, body }) => {
    const bytes = body as Buffer;
    const reading = JSON.parse(bytes.toString()) as Reading;
    recorder.delivered(queue, consumerTag, reading.id, bodyHash(bytes), redelivered);
    received += 1;
    if (redelivered) redeliveries += 1;
    open += 1;
    try {
      await sleep(workMs);
      add(reading);
      recorder.settle(queue, consumerTag, reading.id);
    } finally {
      open -= 1;
    }
  },
);
consumer.on('ready', () => {
  ready = true;
});
consumer.on('error', (error: Error) => console.error(`${name}: ${error.message}`));

function report(): AggregatorReport {
  const means = sums.map(({ readings, celsius }) => (readings === 0 ? null : celsius / readings));
  return { received, redelivered: redeliveries, open, ready, means };
}

async function told(message: Told): Promise<void> {
  if (message.do !== 'stop') return;
  setTimeout(() => process.exit(0), stopMs);
  await consumer.close();
  await connection.close();
  process.exit(0);
}

play(report, (message) => void told(message));
