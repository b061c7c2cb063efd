/** The program of the API's rows: publishes and handles orders with the library that it is asked for. */
import { answerParent } from '../answer.ts';
import { openBare } from './bare-orders.ts';
import { openBullMq } from './bullmq-orders.ts';
import type { OrderQueue, OrdersRequest, OrdersResult } from './orders.ts';
import { runOrders, runOrdersApart } from './orders-run.ts';
import { openPostrider } from './postrider-orders.ts';
import { openRabbitMqClient } from './rabbitmq-client-orders.ts';

const libraries: Record<OrdersRequest['library'], (url: string) => Promise<OrderQueue>> = {
  postrider: openPostrider,
  bullmq: openBullMq,
  bare: openBare,
  'rabbitmq-client': openRabbitMqClient,
};

answerParent<OrdersRequest>(async ({ library, url, timing, apart }): Promise<OrdersResult> => {
  const queue = await libraries[library](url);
  try {
    return await (apart ? runOrdersApart : runOrders)(queue, timing);
  } finally {
    await queue.close();
  }
});
