// A topic exchange: every subscriber has a queue of its own and gets a copy of what its pattern matches.
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from 'rabbitmq-client';

const connection = new Connection(process.env.AMQP_URL ?? 'amqp://guest:guest@127.0.0.1:5672');
connection.on('error', (error) => console.error(error.message));

const exchange = 'readings';
const exchanges = [{ exchange, type: 'topic', durable: true }];
let open = 5;

async function subscriber(name, pattern) {
  const consumer = connection.createConsumer(
    {
      queueOptions: { exclusive: true },
      exchanges,
      queueBindings: [{ exchange, routingKey: pattern }],
    },
    (message) => {
      console.log(`${name} (${pattern}): ${message.routingKey} ${message.body}`);
      open--;
    },
  );
  await new Promise((resolve) => consumer.once('ready', resolve));
  return consumer;
}
const subscribers = [await subscriber('cellar', 'cellar.*'), await subscriber('archive', '#')];

const publisher = connection.createPublisher({ confirm: true, exchanges });
await publisher.send({ exchange, routingKey: 'cellar.temperature' }, '9.5');
await publisher.send({ exchange, routingKey: 'cellar.humidity' }, '71');
await publisher.send({ exchange, routingKey: 'attic.temperature' }, '24.0');

while (open > 0) await sleep(20);
await Promise.all(subscribers.map((consumer) => consumer.close()));
await publisher.close();
await connection.close();
