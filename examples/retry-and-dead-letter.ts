// A handler that fails gets its message again after a while; what fails every time ends in the dead-letter queue, with the reason.
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'postrider';

interface Payment {
  order: number;
  card: string;
}

const mq = await connect('file:./data');
const payments = await mq.queue<Payment>('payments');
const dead = payments.deadLetters!; // the queue 'payments.dead', made with it
let paid = 0;

const consumer = await payments.consume(
  ({ order, card }, message) => {
    if (card === 'expired') throw new Error('card has expired');
    if (message.attempt < 3) throw new Error('the bank does not answer');
    paid += 1;
    console.log(`order ${order} paid at attempt ${message.attempt}`);
  },
  { retry: { attempts: 3, minDelayMs: 20, factor: 2 } },
);
await payments.publish({ order: 1, card: 'good' });
await payments.publish({ order: 2, card: 'expired' });

while (paid < 1 || (await dead.stats()).ready < 1) await sleep(10);
await consumer.close();
for (const { headers } of await dead.peek()) console.log(`dead: ${headers['x-dead-letter-error'] as string}`);

// Once the cause is mended, send them back to the queue that they came from.
console.log(`sent back: ${await dead.redrive()}`);
console.log(`waiting again: ${await payments.purge()}`);
await mq.close();
