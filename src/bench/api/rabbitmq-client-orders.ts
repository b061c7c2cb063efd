/** The client under Postrider's API over AMQP, alone, as its manual shows it. */
import { Connection } from 'rabbitmq-client';
import type { Order, OrderQueue } from './orders.ts';

const queue = 'orders';
const prefetch = 1000;

export async function openRabbitMqClient(url: string): Promise<OrderQueue> {
  const connection = new Connection(url);
  const publisher = connection.createPublisher({ confirm: true });
  const to = { routingKey: queue, durable: true };
  let stop = (): Promise<void> => Promise.resolve();
  return {
    publish: (order) => publisher.send(to, order),
    async consume(handle) {
      const consumer = connection.createConsumer(
        { queue, queueOptions: { durable: true }, qos: { prefetchCount: prefetch } },
        async (message) => {
          await handle(message.body as Order);
        },
      );
      stop = () => consumer.close();
      await new Promise((resolve, reject) => {
        consumer.once('ready', resolve as () => void);
        consumer.once('error', reject);
      });
    },
    async close() {
      await stop();
      await publisher.close();
      await connection.queueDelete({ queue });
      await connection.close();
    },
  };
}
