/** One of the services behind the store: takes orders from its queue, works on each for a moment, acknowledges it. */
import type { AsyncMessage } from 'rabbitmq-client';
import { bodyHash } from '../verify/body-hash.ts';
import { part, play, stopMs, type Told, type WorkerPart } from './role.ts';
import { connectTo, consumption, pace, type Order } from './store.ts';
import { Workbench } from './workbench.ts';

const { url, prefix, historyDirectory, service } = part<WorkerPart>();
const consumption_ = consumption(prefix, service);
const workbench = new Workbench(historyDirectory, service, consumption_.queue);
const connection = connectTo(url, service);
let subscriptions = 0;

const consumer = connection.createConsumer(
  {
    ...consumption_,
    qos: { prefetchCount: pace[service].atOnce },
    // Read anew at each subscription: each is a consumer of its own in the history.
    get consumerTag() {
      return `${service}-${process.pid}-${++subscriptions}`;
    },
  },
  ({ consumerTag, messageId: id = '', redelivered, body }: AsyncMessage) => {
    const bytes = body as Buffer;
    const order = JSON.parse(bytes.toString()) as Order;
    return workbench.work({ consumer: consumerTag, id, hash: bodyHash(bytes), redelivered, order });
  },
);
consumer.on('ready', () => {
  workbench.ready = true;
});
consumer.on('error', (error: Error) => console.error(`${service}: ${error.message}`));

async function told(message: Told): Promise<void> {
  if (message.do !== 'stop') return;
  setTimeout(() => process.exit(0), stopMs);
  await consumer.close();
  await connection.close();
  process.exit(0);
}

play(
  () => workbench.report(),
  (message) => void told(message),
);
