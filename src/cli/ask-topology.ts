/** What is there: of a broker in this process, or asked of a Postrider over AMQP, which has no method for it (docs/CLI.md). */
import type { Channel } from 'rabbitmq-client';
import type { VhostDescription } from '../broker/index.ts';
import { patienceMs } from './patience.ts';
import { brokerUrl, isRemote, type VerbOptions, withBroker, withErrorLines } from './verb.ts';

const replyQueue = 'amq.rabbitmq.reply-to';
const answerTimeoutMs = 30_000;

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
  const { PostriderError } = await import('../api/errors.ts');
  const { amqpAddress } = await import('../api/remote/amqp-url.ts');
  const { RemoteConnection } = await import('../api/remote/remote-connection.ts');
  const { remoteFailure } = await import('../api/remote/remote-failure.ts');
  const { topologyKey } = await import('../server/amqp/reply-to.ts');
  let down: (error: Error) => void = () => undefined;
  const ignore = (): void => undefined;
  const watch = {
    up: ignore,
    down: (error: Error) => down(error),
    refused: ignore,
    blocked: ignore,
    unblocked: ignore,
  };
  const connection = new RemoteConnection(amqpAddress(url, undefined), 'postrider', timeoutMs, watch);
  let late: NodeJS.Timeout | undefined;
  let open: Channel | null = null;
  try {
    await connection.open(timeoutMs);
    const { product } = connection.server;
    const unsupported = new PostriderError(
      'UNSUPPORTED',
      `${product || 'this broker'} can't list what it has over AMQP; name the queues: postrider queues NAME...`,
    );
    if (product !== 'Postrider') throw unsupported;
    const channel = (open = await connection.channel(timeoutMs));
    const answer = new Promise<Buffer>((resolve, reject) => {
      down = reject;
      channel.on('error', reject);
      channel.on('basic.return', () => reject(unsupported));
      channel.basicConsume({ queue: replyQueue, noAck: true }, ({ body }) => resolve(body as Buffer)).catch(reject);
      late = setTimeout(() => reject(new PostriderError('TIMEOUT', 'the broker did not answer')), answerTimeoutMs);
    });
    const question = { routingKey: topologyKey, replyTo: replyQueue, mandatory: true };
    // Behind the consume on the same channel, so its consumer is there.
    const asked = channel.basicPublish(question, Buffer.alloc(0)).then(() => answer);
    return JSON.parse((await Promise.race([asked, answer])).toString()) as VhostDescription;
  } catch (error) {
    throw remoteFailure(error);
  } finally {
    clearTimeout(late);
    // The connection would wait for it, and a broker that takes no messages may read nothing more.
    if (open !== null && !connection.blocked) await connection.closeChannel(open);
    await connection.close();
  }
}
