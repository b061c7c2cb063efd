/** What is there: of a broker in this process, or asked of a Postrider over AMQP, which has no method for it (docs/CLI.md). */
import type { VhostDescription } from '../broker/index.ts';
import { patienceMs } from './patience.ts';
import { brokerUrl, isRemote, type VerbOptions, withBroker, withErrorLines } from './verb.ts';

/** @throws CommandError */
export async function askTopology(options: VerbOptions): Promise<VhostDescription> {
  const url = brokerUrl(options);
  if (isRemote(url)) return withErrorLines(url, () => askRemote(url, patienceMs));
  let description: VhostDescription | null = null;
  await withBroker(options, async (mq) => {
    const { EmbeddedMq } = await import('../api/embedded-mq.ts');
    const { describe } = await import('../broker/index.ts');
    if (!(mq instanceof EmbeddedMq) || mq.broker === null) throw new Error(`${url} is no broker in this process`);
    description = await describe(mq.broker, mq.broker.vhost('/')!);
  });
  return description!;
}

/** @throws PostriderError UNSUPPORTED, UNREACHABLE, ACCESS_REFUSED, TIMEOUT */
export async function askRemote(url: string, timeoutMs: number): Promise<VhostDescription> {
  const { askServer } = await import('./ask-server.ts');
  const { topologyKey } = await import('../server/amqp/reply-to.ts');
  const question = { routingKey: topologyKey, body: Buffer.alloc(0) };
  const unable = (product: string): string =>
    `${product} can't list what it has over AMQP; name the queues: postrider queues NAME...`;
  return JSON.parse((await askServer(url, timeoutMs, question, unable)).toString()) as VhostDescription;
}
