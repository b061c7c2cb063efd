// A question over a queue, and its answer: the caller needs no address of whoever answers, and several may share the work.
import { connect, PostriderError } from 'postrider';

interface Question {
  item: string;
}
interface Price {
  cents: number;
}

const mq = await connect('file:./data');
const prices = await mq.queue<Question>('prices');

const server = await prices.respond(({ item }): Price => {
  if (item === 'unicorn') throw new Error('we do not sell unicorns');
  return { cents: 100 * item.length };
});

for (const item of ['lamp', 'bicycle', 'unicorn']) {
  try {
    const price = await prices.request<Price>({ item }, { timeoutMs: 2_000 });
    console.log(`${item} costs ${price.cents} cents`);
  } catch (error) {
    if (!(error instanceof PostriderError)) throw error;
    console.log(`${item}: ${error.code}: ${error.message}`);
  }
}

await server.close();
await mq.close();
