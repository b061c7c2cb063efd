/**
 * One consumer, on a channel of its own, which is made again after a lost connection.
 *
 * Tags count on from one channel to the next, so that a delivery of an earlier one is never taken for another.
 *
 * How many deliveries may be out (prefetch) can be changed in Postrider while it consumes. RabbitMQ takes notice of it only for
 * later consumers (and for a channel's as a whole not with quorum queues), so there the consumer leaves and comes again on the same
 * channel, which keeps what is unsettled. It leaves when it has as much as it may, so that nothing is on its way: a quorum queue takes
 * that back, and delivers it again behind what came later. Where that would give the queue to another consumer (exclusive, single active), prefetch is
 * fixed instead.
 */
import type { AsyncMessage, Channel } from 'rabbitmq-client';
import { PostriderError } from '../errors.ts';
import type { Address, ConsumeTraits, DeliverySink, LinkConsumer, Outgoing } from '../link.ts';
import { lostDelivery } from '../message-outcomes.ts';
import { Waits } from '../waits.ts';
import type { Publisher } from './publisher.ts';
import type { RemoteConnection } from './remote-connection.ts';
import { isLoss, mayPass, remoteFailure } from './remote-failure.ts';
import { emptyDelivery, readDelivery } from './remote-message.ts';
import { Settlements } from './settlements.ts';
import type { Topology } from './topology.ts';

export interface ConsumerHome {
  readonly connection: RemoteConnection;
  readonly publisher: Publisher;
  readonly topology: Topology;
  consumerClosed(consumer: RemoteConsumer): void;
}

/** Where it can't be changed. */
const fixedPrefetch = 256;
const mostPrefetch = 65_535;
/** Between two changes by leaving and coming again, in milliseconds. */
const growPauseMs = 50;
const shrinkPauseMs = 2_000;
/** For what is on its way, before the consumer leaves; twice as long after each time that it was not enough. */
const firstFillMs = 100;
const longestFillMs = 2_000;
const givenBackAfterMs = 1_000;
const firstRetryMs = 100;
const longestRetryMs = 5_000;

export class RemoteConsumer implements LinkConsumer {
  readonly #home: ConsumerHome;
  readonly #queue: string;
  readonly #traits: ConsumeTraits;
  readonly #sink: DeliverySink;
  readonly #delivery = emptyDelivery();
  #channel: Channel | null = null;
  #consumerTag: string | null = null;
  #settlements: Settlements | null = null;
  /** Tags of this channel are its delivery tags and this. */
  #base = 0;
  #highest = 0;
  #state: 'open' | 'cancelled' | 'closed' = 'open';
  /** For a broker that is blocked to take what replaces a message. */
  readonly #waits = new Waits();
  /** Changes of the consumer, one after another. */
  #work: Promise<void> = Promise.resolve();
  #wanted: number;
  #applied = 0;
  #changing = false;
  #changedAt = 0;
  #fillMs = firstFillMs;
  #timer: NodeJS.Timeout | null = null;
  #wake: (() => void) | null = null;
  /** To come back after its channel ended. */
  #attempt: Promise<void> = Promise.resolve();
  /** Deliveries that could not be replaced, on their way back. */
  readonly #given = new Set<NodeJS.Timeout>();
  /** The sink took no more; only without acknowledgements. */
  #stopped = false;
  #kept: AsyncMessage[] = [];

  constructor(home: ConsumerHome, queue: string, traits: ConsumeTraits, sink: DeliverySink) {
    this.#home = home;
    this.#queue = queue;
    this.#traits = traits;
    this.#sink = sink;
    this.#wanted = traits.prefetch;
  }

  /** @throws PostriderError QUEUE_NOT_FOUND, QUEUE_LOCKED, ACCESS_REFUSED, UNREACHABLE */
  async open(timeoutMs: number): Promise<void> {
    for (;;) {
      try {
        await this.#start(timeoutMs);
        return;
      } catch (error) {
        if (!isLoss(error) || (error instanceof PostriderError && error.code === 'UNREACHABLE'))
          throw remoteFailure(error);
      }
    }
  }

  /** After a lost connection: resolves once it consumes again, or an attempt to has failed; others follow. */
  back(): Promise<void> {
    return this.#attempt;
  }

  setPrefetch(count: number): void {
    this.#wanted = count;
    this.#adjust();
  }

  resume(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    setImmediate(() => {
      const kept = this.#kept;
      this.#kept = [];
      for (const message of kept) this.#take(message);
      if (this.#stopped) return;
      void this.#do(async () => {
        const channel = this.#channel;
        const wanted = this.#state === 'open' && !this.#stopped;
        if (channel !== null && this.#consumerTag === null && wanted) await this.#consume(channel);
      });
    });
  }

  ack(tag: number): void {
    if (this.#holds(tag)) this.#settlements!.ack(tag - this.#base);
  }

  async acked(tag: number): Promise<void> {
    if (!this.#holds(tag)) throw lostDelivery();
    await this.#settlements!.acked(tag - this.#base);
  }

  async requeue(tag: number): Promise<void> {
    if (!this.#holds(tag)) throw lostDelivery();
    this.#settlements!.requeue(tag - this.#base);
  }

  async replace(tag: number, to: Address | null, message: Outgoing | null): Promise<void> {
    if (to === null || message === null) return this.acked(tag);
    if (!this.#holds(tag)) throw lostDelivery();
    try {
      await this.#waits.for(this.#home.publisher.publish(to, message, true));
    } catch (error) {
      // Better twice than not at all; and after a while, or it would come again at once, and fail again.
      this.#giveBackLater(tag);
      throw error;
    }
    await this.acked(tag);
  }

  async cancel(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'cancelled';
    this.#stopTimers();
    this.#settlements?.hurry();
    await this.#home.connection.lastAnswer(this.#do(() => this.#leave()));
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#waits.end(lostDelivery());
    this.#stopTimers();
    // The channel gives back what it holds.
    for (const timer of this.#given) clearTimeout(timer);
    this.#settlements?.hurry();
    await this.#home.connection.lastAnswer(this.#work);
    this.#settlements?.flush();
    const channel = this.#channel;
    this.#channel = null;
    if (channel !== null) await this.#home.connection.closeChannel(channel);
    this.#home.consumerClosed(this);
  }

  #giveBackLater(tag: number): void {
    if (this.#state === 'closed') return;
    const timer = setTimeout(() => {
      this.#given.delete(timer);
      void this.requeue(tag).catch(() => undefined);
    }, givenBackAfterMs);
    timer.unref();
    this.#given.add(timer);
  }

  #holds(tag: number): boolean {
    return tag > this.#base && this.#channel?.active === true;
  }

  async #start(timeoutMs = Infinity): Promise<void> {
    const channel = await this.#home.connection.channel(timeoutMs);
    try {
      await this.#consume(channel);
    } catch (error) {
      await this.#home.connection.closeChannel(channel);
      throw error;
    }
    this.#channel = channel;
    this.#settlements = new Settlements(channel);
    this.#base = this.#highest;
    channel.on('basic.cancel', () => this.#dismissed(channel));
    channel.once('close', () => this.#gone(channel));
    if (!channel.active) this.#gone(channel);
  }

  async #consume(channel: Channel, prefetch = this.#wanted): Promise<void> {
    const { noAck, exclusive, priority } = this.#traits;
    if (!noAck) {
      this.#applied = this.#fixed ? Math.max(prefetch, fixedPrefetch) : prefetch;
      await channel.basicQos({ prefetchCount: this.#applied, global: this.#adjustable });
    }
    const { consumerTag } = await channel.basicConsume(
      { queue: this.#queue, noAck, exclusive, ...(priority === 0 ? {} : { arguments: { 'x-priority': priority } }) },
      (message) => {
        if (this.#channel === channel) this.#take(message);
      },
    );
    this.#consumerTag = consumerTag;
    this.#settlements?.begin(this.#highest - this.#base);
  }

  /** Prefetch of the channel is that of its consumer, and may change at any time. */
  get #adjustable(): boolean {
    return this.#home.connection.server.product === 'Postrider';
  }

  get #fixed(): boolean {
    if (this.#adjustable) return false;
    return this.#traits.exclusive || this.#home.topology.known(this.#queue)?.singleActiveConsumer === true;
  }

  #take(message: AsyncMessage): void {
    if (this.#stopped) {
      this.#kept.push(message);
      return;
    }
    const delivery = this.#delivery;
    readDelivery(delivery, message);
    delivery.tag = this.#base + message.deliveryTag;
    if (delivery.tag > this.#highest) this.#highest = delivery.tag;
    this.#settlements?.received();
    if (this.#applied !== this.#wanted) this.#adjust();
    if (this.#sink.deliver(delivery)) return;
    this.#stopped = true;
    // Without acknowledgements nothing else holds a broker back. What is on its way is kept.
    void this.#do(async () => {
      if (this.#stopped) await this.#leave();
    });
  }

  async #leave(): Promise<void> {
    const tag = this.#consumerTag;
    this.#consumerTag = null;
    if (tag !== null) await this.#channel?.basicCancel(tag);
  }

  /** What fails here ends the channel, which is told there. */
  #do(change: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(change).catch(() => undefined);
    return this.#work;
  }

  #adjust(): void {
    const { noAck } = this.#traits;
    if (noAck || this.#fixed || this.#changing || this.#channel === null || this.#state !== 'open') return;
    const next = this.#adjustable ? this.#wanted : stepped(this.#applied, this.#wanted);
    if (next === this.#applied || !(this.#adjustable || this.#isBusy)) return;
    const pauseMs = this.#adjustable ? 0 : next > this.#applied ? growPauseMs : shrinkPauseMs;
    const waitMs = this.#changedAt + pauseMs - performance.now();
    if (waitMs > 0) {
      this.#timer ??= setTimeout(() => {
        this.#timer = null;
        this.#adjust();
      }, waitMs).unref();
      return;
    }
    this.#changing = true;
    void this.#do(() => this.#change(next)).then(() => {
      this.#changing = false;
      this.#changedAt = performance.now();
      this.#adjust();
    });
  }

  async #change(prefetch: number): Promise<void> {
    const channel = this.#channel;
    if (channel === null || this.#state !== 'open') return;
    if (this.#adjustable) {
      this.#applied = prefetch;
      await channel.basicQos({ prefetchCount: prefetch, global: true });
      return;
    }
    const settlements = this.#settlements!;
    const mayHave = this.#applied;
    await settlements.hold(mayHave, this.#fillMs);
    try {
      if (settlements.out < mayHave) {
        this.#fillMs = Math.min(2 * this.#fillMs, longestFillMs);
      } else if (this.#state === 'open') {
        await this.#leave();
        await this.#consume(channel, prefetch);
      }
    } finally {
      settlements.release();
    }
  }

  /** It has so much that another prefetch is of use, and that what it may have is soon there. */
  get #isBusy(): boolean {
    return this.#settlements !== null && 2 * this.#settlements.out >= this.#applied;
  }

  /** The broker ended the consumer and not the channel: the queue is gone, or moved. */
  #dismissed(channel: Channel): void {
    if (this.#channel !== channel || this.#state !== 'open') return;
    this.#consumerTag = null;
    void this.#do(async () => {
      try {
        if (this.#state === 'open' && this.#consumerTag === null) await this.#consume(channel);
      } catch (error) {
        // What passes has ended the channel: the consumer comes back by itself.
        if (!isLoss(error) && !mayPass(error)) this.#end(remoteFailure(error));
      }
    });
  }

  #gone(channel: Channel): void {
    if (this.#channel !== channel) return;
    this.#channel = null;
    this.#consumerTag = null;
    this.#settlements?.hurry();
    this.#settlements?.flush();
    if (this.#state === 'closed') return;
    this.#sink.lost();
    if (this.#state === 'open') void this.#recover();
  }

  async #recover(): Promise<void> {
    for (let pauseMs = 0; this.#state === 'open'; pauseMs = Math.min(pauseMs * 2 || firstRetryMs, longestRetryMs)) {
      let tried!: () => void;
      this.#attempt = new Promise((resolve) => (tried = resolve));
      try {
        if (pauseMs > 0) await this.#pause(pauseMs);
        await this.#home.connection.whenUp();
        await this.#home.topology.restore(this.#queue);
        if (this.#state === 'open') await this.#start();
        if (this.#state !== 'open') await this.#abandon();
        return;
      } catch (error) {
        const failure = remoteFailure(error);
        // It is locked by this very consumer, perhaps: the broker has not noticed yet that its connection is gone.
        if (!isLoss(error) && failure.code !== 'QUEUE_LOCKED' && !mayPass(error)) {
          this.#end(failure);
          return;
        }
      } finally {
        tried();
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      this.#timer = setTimeout(resolve, ms).unref();
    });
    this.#timer = null;
  }

  /** It was closed while it came back. */
  async #abandon(): Promise<void> {
    const channel = this.#channel;
    this.#channel = null;
    if (channel !== null) await this.#home.connection.closeChannel(channel);
  }

  #end(error: PostriderError): void {
    if (this.#state !== 'open') return;
    this.#state = 'cancelled';
    this.#stopTimers();
    this.#sink.ended(error);
  }

  #stopTimers(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#wake?.();
  }
}

/** In few steps, since each takes two round trips. */
function stepped(applied: number, wanted: number): number {
  if (wanted > applied) return Math.min(mostPrefetch, Math.max(wanted, applied * 8));
  return wanted * 8 <= applied ? wanted : applied;
}
