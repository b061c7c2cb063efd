// A question over a queue; the answer comes back over a queue of the asker's own, under the question's correlation id.
import { Connection } from 'rabbitmq-client';

const connection = new Connection(process.env.AMQP_URL ?? 'amqp://guest:guest@127.0.0.1:5672');
connection.on('error', (error) => console.error(error.message));

const server = connection.createConsumer(
  { queue: 'prices', queueOptions: { durable: true } },
  async (question, reply) => {
    await reply({ item: question.body.item, cents: 100 * question.body.item.length });
  },
);
await new Promise((resolve) => server.once('ready', resolve));

const waiting = new Map();
const answers = connection.createConsumer({ queueOptions: { exclusive: true } }, (answer) => {
  waiting.get(answer.correlationId)?.(answer.body);
  waiting.delete(answer.correlationId);
});
await new Promise((resolve) => answers.once('ready', resolve));

const client = connection.createPublisher({ confirm: true });
let questions = 0;

async function ask(body) {
  const correlationId = String(++questions);
  const answer = new Promise((resolve) => waiting.set(correlationId, resolve));
  await client.send({ routingKey: 'prices', replyTo: answers.queue, correlationId }, body);
  return answer;
}

for (const item of ['lamp', 'bicycle']) {
  const price = await ask({ item });
  console.log(`${price.item} costs ${price.cents} cents`);
}

await Promise.all([client.close(), answers.close(), server.close()]);
await connection.close();
