// A durable queue shared by two workers: each task goes to one of them, and comes back if that one dies before it acknowledges.
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from 'rabbitmq-client';

const connection = new Connection(process.env.AMQP_URL ?? 'amqp://guest:guest@127.0.0.1:5672');
connection.on('error', (error) => console.error(error.message));

const queue = 'thumbnails';
let open = 6;

function worker(name) {
  return connection.createConsumer(
    { queue, queueOptions: { durable: true }, qos: { prefetchCount: 1 } },
    async (message) => {
      await sleep(50);
      console.log(`${name}: ${message.body}`);
      open--;
      // Returning acknowledges; throwing gives the task back to the queue.
    },
  );
}
const workers = [worker('worker A'), worker('worker B')];

const publisher = connection.createPublisher({ confirm: true, queues: [{ queue, durable: true }] });
for (let photo = 1; photo <= 6; photo++) {
  // Resolves once the task is on disk.
  await publisher.send({ routingKey: queue, durable: true }, `photo-${photo}.jpg`);
}
console.log('all tasks are safe');

while (open > 0) await sleep(20);
await Promise.all(workers.map((consumer) => consumer.close()));
await publisher.close();
await connection.close();
