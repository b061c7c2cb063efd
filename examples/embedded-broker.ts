// A web shop that has its broker inside: it publishes without any server, and workers elsewhere connect to it over AMQP.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'postrider';

interface Order {
  id: number;
}

const mq = await connect('file:./data');
const orders = await mq.queue<Order>('orders');
const invoices = await mq.queue<Order>('invoices');

const { amqp } = await mq.listen({ amqp: { port: 0 } }); // 0: any free port
const url = `amqp://guest:guest@127.0.0.1:${amqp!.port}`;

// A process of its own, on this machine; it could be written in any language that speaks AMQP 0-9-1.
const worker = fork(new URL('embedded-worker.ts', import.meta.url), [url]);

await orders.publishAll([{ id: 1 }, { id: 2 }, { id: 3 }]);

let open = 3;
for await (const message of invoices.messages()) {
  console.log(`shop: invoice for order ${message.payload.id}`);
  await message.ack();
  if (--open === 0) break;
}
worker.send('stop');
await once(worker, 'exit');
await mq.close();
