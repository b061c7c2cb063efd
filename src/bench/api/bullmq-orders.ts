/** BullMQ, as its manual shows it: a queue and a worker. Finished jobs are removed, which is its fastest way. */
import type { Order, OrderQueue } from './orders.ts';

/** Jobs that the worker handles at a time. */
const concurrency = 100;

export async function openBullMq(url: string): Promise<OrderQueue> {
  const { Queue, Worker } = await import('bullmq');
  const { Redis } = await import('ioredis');
  const connection = new Redis(url);
  // A worker waits in Redis for its jobs: it wants a client that waits with it.
  const waiting = new Redis(url, { maxRetriesPerRequest: null });
  const queue = new Queue<Order>('orders', {
    connection,
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
  });
  await queue.waitUntilReady();
  let stop = (): Promise<void> => Promise.resolve();
  return {
    publish: (order) => queue.add('order', order),
    async consume(handle) {
      const worker = new Worker<Order>('orders', (job) => handle(job.data), {
        connection: waiting,
        concurrency,
      });
      stop = () => worker.close();
      await worker.waitUntilReady();
    },
    async close() {
      await stop();
      await queue.obliterate({ force: true });
      await queue.close();
      connection.disconnect();
      waiting.disconnect();
    },
  };
}
