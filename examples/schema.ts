// A schema types the payload, and checks it where it is published and again where it is consumed. zod here; valibot and arktype do too.
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, PostriderError } from 'postrider';
import { z } from 'zod';

const Order = z.object({
  id: z.number().int(),
  items: z.array(z.string()).min(1),
  express: z.boolean().default(false),
});

const mq = await connect('file:./data');
const orders = await mq.queue('checked-orders', { schema: Order });
let open = 1;

await orders.consume((order) => {
  // `order` is { id: number; items: string[]; express: boolean }, and has been checked.
  console.log(`order ${order.id}: ${order.items.join(', ')}${order.express ? ', express' : ''}`);
  open -= 1;
});

await orders.publish({ id: 1, items: ['lamp'] }); // `express` may be left out: the schema says so
try {
  await orders.publish({ id: 2, items: [] });
} catch (error) {
  if (error instanceof PostriderError) console.log(`${error.code}: ${error.message}`);
}

while (open > 0) await sleep(10);
await mq.close();
