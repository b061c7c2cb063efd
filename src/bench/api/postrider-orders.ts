/** Postrider's API, as its guide shows it. */
import { connect, type Consumer } from '../../index.ts';
import type { Order, OrderQueue } from './orders.ts';

export async function openPostrider(url: string): Promise<OrderQueue> {
  const mq = await connect(url);
  const orders = await mq.queue<Order>('orders');
  let consumer: Consumer<Order> | undefined;
  return {
    publish: (order) => orders.publish(order),
    async consume(handle) {
      consumer = await orders.consume(handle);
    },
    async close() {
      await consumer?.close();
      await orders.delete();
      await mq.close();
    },
  };
}
