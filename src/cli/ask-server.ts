/** Asks a Postrider, over AMQP, what the protocol has no method for: a message to one of the server's own addresses, and its answer. */
import type { Channel } from 'rabbitmq-client';

const replyQueue = 'amq.rabbitmq.reply-to';
const answerTimeoutMs = 30_000;

/** Resolves with the answer's body. `unable` says what another broker can't do. @throws PostriderError UNSUPPORTED, UNREACHABLE, ACCESS_REFUSED, TIMEOUT */
export async function askServer(
  url: string,
  timeoutMs: number,
  question: { readonly routingKey: string; readonly body: Buffer },
  unable: (product: string) => string,
): Promise<Buffer> {
  const { PostriderError } = await import('../api/errors.ts');
  const { amqpAddress } = await import('../api/remote/amqp-url.ts');
  const { RemoteConnection } = await import('../api/remote/remote-connection.ts');
  const { remoteFailure } = await import('../api/remote/remote-failure.ts');
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
    const unsupported = new PostriderError('UNSUPPORTED', unable(product || 'this broker'));
    if (product !== 'Postrider') throw unsupported;
    const channel = (open = await connection.channel(timeoutMs));
    const answer = new Promise<Buffer>((resolve, reject) => {
      down = reject;
      channel.on('error', reject);
      channel.on('basic.return', () => reject(unsupported));
      channel.basicConsume({ queue: replyQueue, noAck: true }, ({ body }) => resolve(body as Buffer)).catch(reject);
      late = setTimeout(() => reject(new PostriderError('TIMEOUT', 'the broker did not answer')), answerTimeoutMs);
    });
    const envelope = { routingKey: question.routingKey, replyTo: replyQueue, mandatory: true };
    // Behind the consume on the same channel, so its consumer is there.
    const asked = channel.basicPublish(envelope, question.body).then(() => answer);
    return await Promise.race([asked, answer]);
  } catch (error) {
    throw remoteFailure(error);
  } finally {
    clearTimeout(late);
    // The connection would wait for it, and a broker that takes no messages may read nothing more.
    if (open !== null && !connection.blocked) await connection.closeChannel(open);
    await connection.close();
  }
}
