/** One of the services behind the store: takes orders from its queue, works on each for a moment, acknowledges it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AsyncMessage } from 'rabbitmq-client';
import { bodyHash } from '../verify/body-hash.ts';
import { FileRecorder } from '../verify/file-recorder.ts';
import { part, play, type Told, type WorkReport } from './role.ts';
import { connectTo, consumption, pace, type Order, type Service } from './store.ts';

export interface WorkerPart {
  readonly url: string;
  readonly prefix: string;
  readonly historyDirectory: string;
  readonly service: Service;
}

const stopMs = 2000;

const { url, prefix, historyDirectory, service } = part<WorkerPart>();
const { workMs, atOnce } = pace[service];
const consumption_ = consumption(prefix, service);
const recorder = FileRecorder.in(historyDirectory, service);
const connection = connectTo(url, service);

let received = 0;
let redelivered = 0;
let open = 0;
let ready = false;
let subscriptions = 0;

function report(): WorkReport {
  return { received, redelivered, open, ready };
}

async function work(message: AsyncMessage): Promise<void> {
  const id = message.messageId ?? '';
  const body = message.body as Buffer;
  recorder.delivered(consumption_.queue, message.consumerTag, id, bodyHash(body), message.redelivered);
  received++;
  if (message.redelivered) redelivered++;
  open++;
  try {
    const order = JSON.parse(body.toString()) as Order;
    await sleep(workMs * order.quantity);
    recorder.settle(consumption_.queue, message.consumerTag, id);
  } finally {
    open--;
  }
}

const consumer = connection.createConsumer(
  {
    ...consumption_,
    qos: { prefetchCount: atOnce },
    // Read anew at each subscription: each is a consumer of its own in the history.
    get consumerTag() {
      return `${service}-${process.pid}-${++subscriptions}`;
    },
  },
  work,
);
consumer.on('ready', () => {
  ready = true;
});
consumer.on('error', (error: Error) => console.error(`${service}: ${error.message}`));

async function told(message: Told): Promise<void> {
  if (message.do !== 'stop') return;
  setTimeout(() => process.exit(0), stopMs);
  await consumer.close();
  await connection.close();
  process.exit(0);
}

play(report, (message) => void told(message));
