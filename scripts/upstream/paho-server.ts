import { Broker } from '../../src/broker/index.ts';
import { openLocal } from '../../src/engine/local/index.ts';
import { MqttServer } from '../../src/server/mqtt/index.ts';

/** What Paho's suites expect of a server's configuration: a topic that nobody may subscribe to, and keep-alives of a minute. */
const noSubscribe = 'test/nosubscribe';
const maxKeepAliveSeconds = 60;

/** A Postrider with that, on any free port, its journal in `directory`. */
export async function servePaho(directory: string): Promise<{ port: number; stop: () => Promise<void> }> {
  const log = (line: string): void => console.error(line);
  const broker = new Broker({ engine: openLocal(directory), log });
  await broker.open();
  const read = anythingBut(noSubscribe.replaceAll('/', '.'));
  const topics = { user: 'guest', vhost: '/', exchange: 'amq.topic', write: '.*', read };
  await broker.users.setTopicPermissions(topics, () => true);
  const server = new MqttServer({ broker, version: 'upstream', log, settings: { maxKeepAliveSeconds } });
  const { port } = await server.listen('127.0.0.1', 0);
  const stop = async (): Promise<void> => {
    await server.close();
    await broker.close();
  };
  return { port, stop };
}

/** As a pattern without looking ahead: what ends or differs somewhere in it, or goes on behind it. */
function anythingBut(text: string): string {
  const literal = (part: string): string => part.replace(/\W/g, '\\$&');
  const others = Array.from(text, (character, at) => `${literal(text.slice(0, at))}(?:$|[^${literal(character)}])`);
  return `^(?:${others.join('|')}|${literal(text)}.)`;
}
