// The worker of embedded-broker.ts: the same API, over the network. `connect` is given the URL of the broker inside the shop.
import { once } from 'node:events';
import { connect } from 'postrider';

interface Order {
  id: number;
}

const mq = await connect(process.argv[2] ?? 'amqp://guest:guest@127.0.0.1:5672');
const orders = await mq.queue<Order>('orders');
const invoices = await mq.queue<Order>('invoices');

await orders.consume(async (order) => {
  console.log(`worker: order ${order.id}`);
  await invoices.publish(order);
});

await once(process, 'message'); // the shop says that it is done
process.disconnect?.();
await mq.close();
