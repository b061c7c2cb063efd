/**
 * Delay, of which AMQP knows nothing: a message waits in a queue where its time to live is the delay, and whose dead letters go to
 * where the message was meant to go. There is one such queue for each delay and destination; delays are rounded up to one of 24 steps
 * a decade (10 % at most), so that there are few.
 *
 * A queue must never end with messages in it. So each is used for one period only and ends by itself (x-expires) not before
 * all that was published in that period is out; the next period has the next queue. (Declaring a queue again would not lengthen
 * its life everywhere: RabbitMQ's quorum queues take no notice.) They dead-letter at least once, or a message that finds its target full
 * when it is due would be dropped; RabbitMQ does that in quorum queues only. What can't be kept: whether a queue takes the message when
 * it is due is not known when it is published.
 */
import { createHash } from 'node:crypto';
import { PostriderError } from '../errors.ts';
import type { Address } from '../link.ts';
import { unroutable } from '../message-outcomes.ts';
import { delayPrefix } from '../names.ts';
import type { Server } from './broker-connection.ts';
import type { Control } from './control.ts';
import { declaration } from './topology.ts';

/** Beyond period and delay: clocks that differ, publishes that wait for a broker. */
const marginMs = 3_600_000;
const shortestPeriodMs = 3_600_000;
/** RabbitMQ's limit for x-expires. */
const longestExpiryMs = 0xffff_ffff;
const longestDelayMs = Math.floor((longestExpiryMs - marginMs) / 2);
/** IEC 60063's E24. */
const steps = [10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82, 91, 100];

interface DelayQueue {
  readonly address: Address;
  /** Nothing is published to it from then on. */
  readonly until: number;
  readonly declared: Promise<void>;
}

export class DelayQueues {
  readonly #control: Control;
  readonly #server: () => Server;
  readonly #queues = new Map<string, DelayQueue>();

  constructor(control: Control, server: () => Server) {
    this.#control = control;
    this.#server = server;
  }

  /** Where to publish a message so that it gets to `to` after the delay, and until when. @throws PostriderError UNSUPPORTED, UNROUTABLE */
  async queueFor(to: Address, delayMs: number): Promise<{ readonly address: Address; readonly until: number }> {
    const ms = roundedDelayMs(delayMs);
    if (ms > longestDelayMs) {
      throw new PostriderError(
        'UNSUPPORTED',
        `a delay over amqp: may last ${Math.floor(longestDelayMs / 86_400_000)} days, not ${delayMs} ms; publish it later, or use an embedded broker`,
      );
    }
    const periodMs = Math.max(ms, shortestPeriodMs);
    const period = Math.floor(Date.now() / periodMs);
    const name = delayQueueName(ms, period, to);
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      this.#forgetOld();
      queue = {
        address: { exchange: '', routingKey: name, mandatory: true },
        until: (period + 1) * periodMs,
        declared: this.#declare(name, to, ms, ms + periodMs + marginMs),
      };
      this.#queues.set(name, queue);
      queue.declared.catch(() => this.#queues.delete(name));
    }
    await queue.declared;
    return queue;
  }

  /** The broker may be another one, or have forgotten. */
  forget(): void {
    this.#queues.clear();
  }

  async #declare(name: string, to: Address, ms: number, expiresMs: number): Promise<void> {
    if (to.mandatory && to.exchange === '') await this.#require(to);
    // RabbitMQ keeps the strategy only in such queues.
    const safe: Record<string, string> =
      this.#server().product === 'RabbitMQ' ? { 'x-queue-type': 'quorum', 'x-overflow': 'reject-publish' } : {};
    const traits = {
      name,
      durable: true,
      exclusive: false,
      autoDelete: false,
      arguments: {
        ...safe,
        'x-dead-letter-strategy': 'at-least-once',
        'x-message-ttl': ms,
        'x-expires': expiresMs,
        'x-dead-letter-exchange': to.exchange,
        'x-dead-letter-routing-key': to.routingKey,
      },
    };
    await this.#control.ask((channel) => channel.queueDeclare(declaration(traits)));
  }

  async #require(to: Address): Promise<void> {
    try {
      await this.#control.ask((channel) => channel.queueDeclare({ queue: to.routingKey, passive: true }));
    } catch (error) {
      if (error instanceof PostriderError && error.code === 'QUEUE_NOT_FOUND') throw unroutable(to);
      throw error;
    }
  }

  #forgetOld(): void {
    const now = Date.now();
    for (const [name, { until }] of this.#queues) if (until <= now) this.#queues.delete(name);
  }
}

/** Up to the next step: 1234 is 1300. */
export function roundedDelayMs(delayMs: number): number {
  if (delayMs <= 10) return Math.ceil(delayMs);
  const unit = 10 ** (Math.floor(Math.log10(delayMs)) - 1);
  // The logarithm may be off by a hair at a power of ten: then 100 units are the step.
  const step = steps.find((candidate) => candidate * unit >= delayMs) ?? 100;
  return Math.round(step * unit);
}

function delayQueueName(ms: number, period: number, to: Address): string {
  const name = `${delayPrefix}${ms}.${period}.${to.exchange}.${to.routingKey}`;
  if (Buffer.byteLength(name) <= 255) return name;
  const digest = createHash('sha256').update(to.exchange).update('\0').update(to.routingKey).digest('hex');
  return `${delayPrefix}${ms}.${period}.${digest}`;
}
