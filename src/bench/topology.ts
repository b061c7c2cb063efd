import type { LoadConnection } from './connection.ts';
import { emptyTable, method, methods, octet, short, shortString } from './frame.ts';

const durable = 0b10;

/** Declares a durable queue. */
export async function declareQueue(connection: LoadConnection, queue: string, table = emptyTable()): Promise<void> {
  await connection.call(queueDeclareFrame(queue, table), methods.queueDeclareOk);
}

export function queueDeclareFrame(queue: string, table = emptyTable()): Buffer {
  return method(1, methods.queueDeclare, short(0), shortString(queue), octet(durable), table);
}

/** How many messages are ready in a queue. */
export async function countReady(connection: LoadConnection, queue: string): Promise<number> {
  const passive = method(1, methods.queueDeclare, short(0), shortString(queue), octet(1), emptyTable());
  const answer = await connection.call(passive, methods.queueDeclareOk);
  return answer.readUInt32BE(1 + answer.readUInt8(0));
}

/** Deletes a queue and says how many messages were ready in it. */
export async function deleteQueue(connection: LoadConnection, queue: string): Promise<number> {
  const request = method(1, methods.queueDelete, short(0), shortString(queue), octet(0));
  return (await connection.call(request, methods.queueDeleteOk)).readUInt32BE(0);
}

export async function declareExchange(connection: LoadConnection, exchange: string, type: string): Promise<void> {
  const args = [short(0), shortString(exchange), shortString(type), octet(durable), emptyTable()];
  await connection.call(method(1, methods.exchangeDeclare, ...args), methods.exchangeDeclareOk);
}

export async function deleteExchange(connection: LoadConnection, exchange: string): Promise<void> {
  const request = method(1, methods.exchangeDelete, short(0), shortString(exchange), octet(0));
  await connection.call(request, methods.exchangeDeleteOk);
}

export async function bindQueue(
  connection: LoadConnection,
  queue: string,
  exchange: string,
  routingKey = '',
): Promise<void> {
  const names = [shortString(queue), shortString(exchange), shortString(routingKey)];
  const request = method(1, methods.queueBind, short(0), ...names, octet(0), emptyTable());
  await connection.call(request, methods.queueBindOk);
}

/** Does something for every item, with so many under way at once. */
export async function inBatches<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const runner = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) await work(items[index] as T);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, runner));
}
