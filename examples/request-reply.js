// A question over a queue; the answer comes back over a queue of the asker's own.
import { Connection } from 'rabbitmq-client';

const connection = new Connection(process.env.AMQP_URL ?? 'amqp://guest:guest@127.0.0.1:5672');
connection.on('error', (error) => console.error(error.message));

const server = connection.createConsumer(
  { queue: 'prices', queueOptions: { durable: true } },
  async (message, reply) => {
    await reply({ item: message.body.item, cents: 100 * message.body.item.length });
  },
);

const client = connection.createRPCClient({ confirm: true });
for (const item of ['lamp', 'bicycle']) {
  const { body } = await client.send('prices', { item });
  console.log(`${body.item} costs ${body.cents} cents`);
}

await client.close();
await server.close();
await connection.close();
