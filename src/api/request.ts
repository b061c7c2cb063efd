/** Requests: each is a message with a correlation id and the name of this connection's queue for answers. */
import { randomUUID } from 'node:crypto';
import { aborted, listenTo, throwIfAborted } from './abort.ts';
import { PostriderError } from './errors.ts';
import type { Address, Delivery, DeliverySink, LinkConsumer, Outgoing } from './link.ts';
import { header } from './message-headers.ts';
import type { MqCore } from './mq-core.ts';
import { checkOptions, type Checks, object, signal, waitMs } from './option-check.ts';
import { PayloadCodec } from './payload-codec.ts';
import { publishChecks, type PublishOptions } from './publish-options.ts';

/** How `queue.request()` asks. */
export interface RequestOptions {
  /** Longest wait for the answer, in milliseconds. Default 30,000. A request that nobody has taken by then expires, as a dead letter. */
  readonly timeoutMs?: number;
  /** Gives up waiting; the request may be handled nevertheless, unless it still waited to be sent. */
  readonly signal?: AbortSignal;
  /** Of the message that carries the request. */
  readonly publish?: Omit<PublishOptions, 'correlationId' | 'replyTo' | 'expiresMs' | 'signal'>;
}

const checks: Checks<RequestOptions> = { timeoutMs: waitMs(1), signal, publish: object };
// The rest is the request's own.
const { id, headers, priority, delayMs } = publishChecks;
const requestPublishChecks = { id, headers, priority, delayMs };
const defaultTimeoutMs = 30_000;
const answerTraits = { prefetch: 0, noAck: true, exclusive: true, priority: 0 };

interface Waiting {
  resolve(answer: unknown): void;
  reject(error: PostriderError): void;
}

/** The queue for answers of one connection, and who waits for them. */
export class Answers implements DeliverySink {
  readonly queue: string;
  readonly #codec = new PayloadCodec<unknown, unknown>('the queue for answers', undefined, undefined);
  readonly #waiting = new Map<string, Waiting>();
  readonly #ended: () => void;
  #consumer: LinkConsumer | null = null;
  /** No answer comes any more. */
  #over: PostriderError | null = null;

  /** `ended`: its queue is gone. */
  static async open(core: MqCore, ended: () => void): Promise<Answers> {
    const queue = await core.link.declareQueue({
      name: '',
      durable: false,
      exclusive: true,
      autoDelete: true,
      arguments: {},
    });
    const answers = new Answers(queue, ended);
    answers.#consumer = await core.link.consume(queue, answerTraits, answers);
    return answers;
  }

  constructor(queue: string, ended: () => void) {
    this.queue = queue;
    this.#ended = ended;
  }

  wait(id: string, waiting: Waiting): void {
    if (this.#over !== null) waiting.reject(this.#over);
    else this.#waiting.set(id, waiting);
  }

  forget(id: string): void {
    this.#waiting.delete(id);
  }

  deliver(delivery: Delivery): boolean {
    const { correlationId = '', headers } = delivery.properties;
    const waiting = this.#waiting.get(correlationId);
    // Whoever asked has stopped waiting.
    if (waiting === undefined) return true;
    this.#waiting.delete(correlationId);
    const failure = headers?.[header.requestError];
    if (typeof failure === 'string') {
      waiting.reject(new PostriderError('REQUEST_FAILED', failure));
      return true;
    }
    try {
      waiting.resolve(this.#codec.decode(delivery));
    } catch (error) {
      waiting.reject(error as PostriderError);
    }
    return true;
  }

  lost(): void {
    this.#giveUp('the connection was lost before the answer came; the request may have been handled');
  }

  ended(error: PostriderError): void {
    this.#over = this.#giveUp(`the queue for answers is gone: ${error.message}; the request may have been handled`);
    this.#ended();
    void this.#consumer?.close().catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#over = this.#giveUp('it was closed before the answer came; the request may have been handled');
    await this.#consumer?.cancel();
    await this.#consumer?.close();
  }

  #giveUp(why: string): PostriderError {
    const error = new PostriderError('UNKNOWN_OUTCOME', why);
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
    return error;
  }
}

export async function request<Answer>(
  core: MqCore,
  to: Address,
  where: string,
  encode: (reply: PublishOptions) => Promise<Outgoing>,
  options: RequestOptions,
): Promise<Answer> {
  checkOptions(`request() to ${where}`, options, checks);
  if (options.publish !== undefined)
    checkOptions(`request() to ${where}: publish`, options.publish, requestPublishChecks);
  const { timeoutMs = defaultTimeoutMs, signal: stop } = options;
  throwIfAborted(stop, 'the request');
  core.requireOpen('ask');
  const id = randomUUID();
  const over = new AbortController();
  let answers: Answers | null = null;
  let waiting!: Waiting;
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const answer = new Promise<unknown>((resolve, reject) => {
    waiting = { resolve, reject };
    const late = `${where} gave no answer within ${timeoutMs} ms; the request may still be handled`;
    timer = setTimeout(() => reject(new PostriderError('TIMEOUT', late)), timeoutMs);
    if (stop === undefined) return;
    onAbort = () => reject(aborted(stop, 'the request'));
    listenTo(stop, onAbort);
  });
  // Whichever fails first is told.
  answer.catch(() => undefined);
  // As long as nobody is asked.
  const failure = answer as Promise<never>;
  try {
    answers = await answersOf(core, failure);
    const encoded = encode({ correlationId: id, replyTo: answers.queue, expiresMs: timeoutMs });
    const message = await Promise.race([encoded, failure]);
    answers.wait(id, waiting);
    const sent = core.link.publish(to, message, over.signal);
    // The answer may come before the publish is confirmed.
    await Promise.race([sent, answer]);
    sent.catch(() => undefined);
    return (await answer) as Answer;
  } finally {
    clearTimeout(timer);
    if (onAbort !== undefined) stop?.removeEventListener('abort', onAbort);
    answers?.forget(id);
    // Where it still waits to be sent nobody wants it any more.
    over.abort();
  }
}

/** However long the broker is away: `failure` tells when that is too long. */
async function answersOf(core: MqCore, failure: Promise<never>): Promise<Answers> {
  for (;;) {
    try {
      return await Promise.race([core.answers(), failure]);
    } catch (error) {
      if (!(error instanceof PostriderError) || error.code !== 'UNREACHABLE') throw error;
    }
  }
}
