import { consumeChecks, type ConsumeOptions } from './consume-options.ts';
import type { Consumer, Handler } from './consumer.ts';
import { asError, PostriderError } from './errors.ts';
import { header } from './message-headers.ts';
import type { MqCore } from './mq-core.ts';
import { PayloadCodec } from './payload-codec.ts';
import { checkOptions } from './option-check.ts';
import { publishProperties } from './publish-options.ts';
import type { Queue } from './queue.ts';

// A request is acknowledged once its answer is sent, and tried once.
const { concurrency, timeoutMs, prefetch, exclusive, priority, signal } = consumeChecks;
const checks = { concurrency, timeoutMs, prefetch, exclusive, priority, signal };
const codec = new PayloadCodec<unknown, unknown>('the queue for answers', undefined, undefined);

/** A consumer whose handler's result is sent to whoever asked, before the request is acknowledged. */
export function respond<Out, In>(
  core: MqCore,
  queue: Queue<Out, In>,
  handler: Handler<Out>,
  options: Omit<ConsumeOptions, 'ack' | 'retry' | 'delivery'>,
): Promise<Consumer<Out>> {
  checkOptions(`respond() of queue '${queue.name}'`, options, checks);
  const answering: Handler<Out> = async (payload, message) => {
    const { replyTo, correlationId } = message.properties;
    let answer: unknown = null;
    let failure: Error | null = null;
    try {
      answer = (await handler(payload, message)) ?? null;
    } catch (error) {
      failure = asError(error);
    }
    if (replyTo === undefined || correlationId === undefined) {
      // Nobody asked: then a failure is that of any other message.
      if (failure !== null) throw failure;
      return;
    }
    // To a requester that has gone it is not an error.
    const to = { exchange: '', routingKey: replyTo, mandatory: false };
    const send = async (payload: unknown, failed: Error | null): Promise<void> => {
      const { body, contentType } = codec.encode(payload);
      const headers = failed === null ? {} : { headers: { [header.requestError]: failed.message.slice(0, 4_096) } };
      const properties = { ...publishProperties('the answer', contentType, { correlationId }), ...headers };
      await core.link.publish(to, { body, properties: { ...properties, deliveryMode: 1 }, delayMs: 0 });
    };
    try {
      await send(failure === null ? answer : null, failure);
    } catch (error) {
      // Whoever asked need not wait for an answer that can't be sent.
      if (failure !== null || !isUnfit(error)) throw error;
      await send(null, new Error(`the handler's answer can't be sent: ${error.message}`));
    }
  };
  return queue.consume(answering, { ...options, retry: false });
}

function isUnfit(error: unknown): error is PostriderError {
  return error instanceof PostriderError && (error.code === 'INVALID_PAYLOAD' || error.code === 'TOO_LARGE');
}
