import type { Broker, Contender } from './broker.ts';
import { LoadConnection, parseAddress } from './connection.ts';

/** A broker that runs already, whoever started it. */
export function remote(name: string, url: string): Contender {
  const address = parseAddress(url);
  const attach = async (): Promise<Broker> => {
    const connection = await LoadConnection.open(address, { readBytes: 16_384 });
    const version = connection.serverVersion;
    await connection.close();
    return { address, version, stop: async () => undefined };
  };
  return { name, attach };
}

/** Parses `name=amqp://...`. */
export function parsePeer(text: string): Contender {
  const at = text.indexOf('=');
  if (at < 1) throw new Error(`--peer "${text}": write it as name=amqp://host:port`);
  return remote(text.slice(0, at), text.slice(at + 1));
}
