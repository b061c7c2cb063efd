/** Postrider's API, as its guide shows it. */
import { connect } from '../../index.ts';
import type { Order, OrderQueue } from './orders.ts';

export async function openPostrider(url: string): Promise<OrderQueue> {
  const mq = await connect(url);
  const orders = await mq.queue<Order>('orders');
  return {
    publish: (order) => orders.publish(order),
    consume: (handle) => orders.consume(handle),
    async close() {
      await orders.delete();
      await mq.close();
    },
  };
}
