/** The one place where the API stands on a server: `mq.listen()`. */
import type { Broker } from '../broker/index.ts';
import { AmqpServer } from '../server/amqp/index.ts';
import { version } from '../version.ts';
import { PostriderError } from './errors.ts';

/** @throws PostriderError REFUSED */
export async function listenAmqp(
  broker: Broker,
  host: string,
  port: number,
  log: (line: string) => void,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = new AmqpServer({ broker, version, log });
  try {
    const address = await server.listen(host, port);
    return { port: address.port, close: () => server.close() };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'EADDRINUSE' ? 'the port is taken: choose another, or 0 for any free one' : (error as Error).message;
    throw new PostriderError('REFUSED', `can't listen on ${host}:${port}: ${why}`, { cause: error });
  }
}
