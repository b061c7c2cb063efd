import { PostriderError } from './errors.ts';
import {
  boolean,
  checkOptions,
  type Checks,
  either,
  integer,
  milliseconds,
  number,
  object,
  oneOf,
  signal,
} from './option-check.ts';
import { defaultRetry, type RetryPolicy } from './retry-policy.ts';
import type { TopicNotation } from './topic-name.ts';

/** How a queue is consumed: `queue.consume(handler, options)`. */
export interface ConsumeOptions {
  /** Handlers that run at a time. Default 1: one message after another, in order. */
  readonly concurrency?: number;
  /**
   * `'auto'` (default): the end of the handler acknowledges, its failure retries. `'manual'`: the handler calls `message.ack()`,
   * `retry()`, `deadLetter()` or `requeue()` itself, during its run or later; until then the message counts as running.
   */
  readonly ack?: 'auto' | 'manual';
  /** `'at-most-once'`: settled before the handler sees it, so that it is never handled twice and may be lost. Default `'at-least-once'`. */
  readonly delivery?: 'at-least-once' | 'at-most-once';
  /**
   * What happens when the handler fails; `false`: straight to the dead-letter queue. Default: 5 attempts, see `RetryPolicy`; in a
   * queue without dead letters, as dead-letter queues are, as many as it takes, since there it would be lost.
   */
  readonly retry?: RetryPolicy | false;
  /**
   * A handler that runs longer, or a schema that answers later, has failed, in milliseconds. Default 1,800,000 (half an hour); `Infinity`: no limit of this consumer's.
   *
   * Over `amqp:` the broker has a limit of its own, 30 minutes unless its operator set another (`serve --consumer-timeout`): what is not
   * settled by then is taken away, the handler's `signal` is aborted, and the message comes again. Embedded there is none.
   */
  readonly timeoutMs?: number;
  /**
   * Messages that are fetched ahead, at most 65,535. Default: adapts to the speed of the handler. Those that are given back unhandled when the
   * consumer closes were delivered, which counts towards the queue's `deliveryLimit`.
   */
  readonly prefetch?: number;
  /** The only consumer of the queue, or none. Default false. */
  readonly exclusive?: boolean;
  /** Consumers of higher priority are served first. Default 0. */
  readonly priority?: number;
  /** Closes the consumer. */
  readonly signal?: AbortSignal;
}

/** Options with all their defaults. */
export interface ConsumeSettings {
  readonly concurrency: number;
  readonly manual: boolean;
  readonly atMostOnce: boolean;
  readonly retry: Required<RetryPolicy>;
  readonly timeoutMs: number;
  /** Null: adapts. */
  readonly prefetch: number | null;
  readonly exclusive: boolean;
  readonly priority: number;
  readonly deadLetterQueue: string | null;
  /** How its messages tell their topic. */
  readonly notation: TopicNotation;
}

const retryChecks: Checks<RetryPolicy> = {
  attempts: integer(1),
  minDelayMs: milliseconds(0),
  maxDelayMs: milliseconds(0),
  factor: number(1, 1000),
  jitter: number(0, 1),
};

export const consumeChecks: Checks<ConsumeOptions> = {
  concurrency: integer(1, 65_535),
  ack: oneOf('auto', 'manual'),
  delivery: oneOf('at-least-once', 'at-most-once'),
  retry: either(oneOf(false), object),
  timeoutMs: milliseconds(1, true),
  prefetch: integer(1, 65_535),
  exclusive: boolean,
  priority: integer(-2_147_483_648, 2_147_483_647),
  signal,
};

const halfAnHourMs = 1_800_000;

/** @throws PostriderError INVALID_OPTION */
export function consumeSettings(
  where: string,
  options: ConsumeOptions,
  deadLetterQueue: string | null,
  notation: TopicNotation,
): ConsumeSettings {
  checkOptions(where, options, consumeChecks);
  const { concurrency = 1, ack = 'auto', delivery = 'at-least-once', retry = {}, timeoutMs = halfAnHourMs } = options;
  const { prefetch = null, exclusive = false, priority = 0 } = options;
  const atMostOnce = delivery === 'at-most-once';
  if (retry !== false) checkOptions(`${where}: retry`, retry, retryChecks);
  if (atMostOnce && ack === 'manual') throw contradiction(where, "ack: 'manual'");
  if (atMostOnce && options.retry !== undefined && retry !== false) throw contradiction(where, 'retry');
  if (prefetch !== null && prefetch < concurrency) {
    throw new PostriderError(
      'INVALID_OPTION',
      `${where}: a prefetch of ${prefetch} would starve ${concurrency} concurrent handlers; give at least as many, or none`,
    );
  }
  const byDefault = deadLetterQueue === null ? { ...defaultRetry, attempts: Infinity } : defaultRetry;
  const policy = retry === false ? { ...defaultRetry, attempts: 1 } : { ...byDefault, ...defined(retry) };
  return {
    concurrency,
    manual: ack === 'manual',
    atMostOnce,
    retry: policy,
    timeoutMs,
    prefetch,
    exclusive,
    priority,
    deadLetterQueue,
    notation,
  };
}

function contradiction(where: string, what: string): PostriderError {
  return new PostriderError(
    'INVALID_OPTION',
    `${where}: ${what} has no meaning with delivery: 'at-most-once', where a message is settled before it is handled`,
  );
}

function defined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}
