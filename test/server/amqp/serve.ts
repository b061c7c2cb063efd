import { after } from 'node:test';
import { Broker, type BrokerSettings } from '../../../src/broker/index.ts';
import { memoryEngine } from '../../../src/engine/local/index.ts';
import { AmqpServer, type AmqpSettings } from '../../../src/server/amqp/index.ts';
import { RawClient, type OpenOptions } from './raw-client.ts';

export interface Served {
  readonly broker: Broker;
  readonly server: AmqpServer;
  readonly port: number;
  /** What the server said to its operator. */
  readonly lines: string[];
  client(options?: OpenOptions): Promise<RawClient>;
  raw(): RawClient;
}

/** A broker in memory behind a server of its own, closed after the tests of the file. To be called outside of any test. */
export async function serve(
  settings: Partial<AmqpSettings> = {},
  ofBroker: Partial<BrokerSettings> = {},
): Promise<Served> {
  const lines: string[] = [];
  const broker = new Broker({ engine: memoryEngine(), settings: ofBroker, log: (line) => lines.push(line) });
  await broker.open();
  // A test that breaks the protocol need not wait for the punishment.
  const quick = { silentCloseDelayMs: 50, closeTimeoutMs: 1_000, shortestAckPeriodMs: 10, ...settings };
  const server = new AmqpServer({ broker, settings: quick, version: '0.0.1', log: (line) => lines.push(line) });
  const { port } = await server.listen('127.0.0.1', 0);
  const clients: RawClient[] = [];
  const raw = (): RawClient => {
    const client = new RawClient(port);
    clients.push(client);
    return client;
  };
  after(async () => {
    for (const client of clients) client.end();
    await server.close('test over', 200);
    await broker.close();
  });
  return {
    broker,
    server,
    port,
    lines,
    raw,
    async client(options) {
      const client = raw();
      await client.handshake(options);
      await client.openChannel(1);
      return client;
    },
  };
}
