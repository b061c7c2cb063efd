/** One of the services of `postrider demo --embedded`: connects to the broker inside the shop, and handles the orders of its subscription. */
import { connect, type Serializer } from '../../index.ts';
import { bodyHash } from '../../verify/body-hash.ts';
import { part, play, stopMs, type Told, type WorkerPart } from '../role.ts';
import { pace, type Order } from '../store.ts';
import { Workbench } from '../workbench.ts';

interface Seen {
  readonly order: Order;
  readonly hash: string;
}

/** JSON, with the hash of its bytes: what is judged is what came, not what was made of it. */
const hashed: Serializer<Seen> = {
  contentType: 'application/json',
  serialize: ({ order }) => JSON.stringify(order),
  deserialize: (bytes): Seen => ({ order: JSON.parse(bytes.toString()) as Order, hash: bodyHash(bytes) }),
};

const { url, historyDirectory, service } = part<WorkerPart>();
const workbench = new Workbench(historyDirectory, service, service);

const mq = await connect(url, { name: service });
let connections = 1;
mq.on('disconnected', (error) => {
  // Whatever comes after it comes to another consumer, in the history.
  connections += 1;
  console.error(`${service}: ${error.message}`);
});
mq.on('reconnected', () => console.error(`${service}: connected again`));

const orders = await mq.topic<Seen>('orders', { serializer: hashed }).subscribe(service);
await orders.consume(
  ({ order, hash }, { id = '', redelivered }) =>
    workbench.work({ consumer: `${service}-${process.pid}-${connections}`, id, hash, redelivered, order }),
  { concurrency: pace[service].atOnce },
);
workbench.ready = true;

async function told(message: Told): Promise<void> {
  if (message.do !== 'stop') return;
  setTimeout(() => process.exit(0), stopMs);
  await mq.close();
  process.exit(0);
}

play(
  () => workbench.report(),
  (message) => void told(message),
);
