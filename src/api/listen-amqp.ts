/** Where the API stands on the AMQP server: `mq.listen({ amqp })`. */
import type { Broker } from '../broker/index.ts';
import { AmqpServer } from '../server/amqp/index.ts';
import { version } from '../version.ts';
import { listening, type Place } from './listening.ts';

/** @throws PostriderError REFUSED */
export async function listenAmqp(
  broker: Broker,
  place: Place,
  log: (line: string) => void,
): Promise<{ readonly amqp: Place; close(): Promise<void> }> {
  const server = new AmqpServer({ broker, version, log });
  return { amqp: await listening(server.listen(place.host, place.port), place), close: () => server.close() };
}
