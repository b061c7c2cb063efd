/** The order service: places orders with publisher confirms, on a broker that runs elsewhere. */
import { AMQPError } from 'rabbitmq-client';
import { FileRecorder } from '../verify/file-recorder.ts';
import { part, play, type OrdersPart, type Told } from './role.ts';
import { connectTo, exchangeOf, queueOf, services, topology } from './store.ts';
import { Till } from './till.ts';

export interface OrderServicePart extends OrdersPart {
  readonly url: string;
  readonly prefix: string;
}

const { url, prefix, historyDirectory, orders, perSecond } = part<OrderServicePart>();
const name = 'order-service';
const recorder = FileRecorder.in(historyDirectory, name);
const connection = connectTo(url, name);
const publisher = connection.createPublisher({ confirm: true, ...topology(prefix) });
const envelope = {
  exchange: exchangeOf(prefix),
  durable: true,
  contentType: 'application/vnd.store.order+json',
};

const till = new Till({
  name,
  recorder,
  orders,
  perSecond,
  route: services.map((service) => queueOf(prefix, service)),
  send: ({ id, number, body }) => publisher.send({ ...envelope, messageId: id, headers: { attempt: number } }, body),
  isRefusal: (error) => error instanceof AMQPError && error.code === 'NACK',
  isOffline: () => !connection.ready,
  sale: { atOnce: 50, oneByOne: false },
});

async function told(message: Told): Promise<void> {
  if (message.do === 'rush') {
    await till.rush(message.count);
  } else if (message.do === 'stop') {
    recorder.close();
    await publisher.close();
    await connection.close();
    process.exit(0);
  }
}

play(
  () => till.report(),
  (message) => void told(message),
);

await connection.onConnect();
await till.run();
