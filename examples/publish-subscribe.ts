// One event, many who want to know: every subscription has a queue of its own and gets each message, at its own pace.
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'postrider';

interface Order {
  id: number;
  item: string;
}

const mq = await connect('file:./data');
const placed = mq.topic<Order>('orders.placed');
let open = 4;

for (const service of ['inventory', 'shipping']) {
  // From now on the queue collects what is published, even while nobody consumes it.
  const subscription = await placed.subscribe(service);
  await subscription.consume((order) => {
    console.log(`${service}: order ${order.id}, ${order.item}`);
    open -= 1;
  });
}

// Resolves once the order is on disk in both queues.
await placed.publish({ id: 1, item: 'lamp' });
await placed.publish({ id: 2, item: 'bicycle' });

while (open > 0) await sleep(10);
await mq.close();
