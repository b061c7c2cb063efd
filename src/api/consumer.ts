/**
 * Hot: between a link's deliveries and a handler. Deliveries are kept as they come, and decoded and handled after the turn that brought
 * them; handlers that answer at once cost no promise. How many wait here adapts to how fast they are handled, so that one
 * consumer does not sit on what another could do.
 */
import { BodySlab } from './body-slab.ts';
import { asError, PostriderError } from './errors.ts';
import { FailurePath } from './failure-path.ts';
import { Grace } from './grace.ts';
import type { ConsumeSettings } from './consume-options.ts';
import type { Delivery, DeliverySink, LinkConsumer } from './link.ts';
import { Message, type MessageHolder } from './message.ts';
import type { DeadLetterReason } from './message-headers.ts';
import { checkOptions, closeChecks } from './option-check.ts';
import type { PayloadCodec } from './payload-codec.ts';
import { PayloadReader } from './payload-reader.ts';
import { Places } from './places.ts';
import { Prefetch } from './prefetch.ts';
import { TimeLimit } from './time-limit.ts';

/**
 * Handles one message. What it returns is waited for where it is a promise, and otherwise not looked at (but see `Queue.respond`); what it
 * throws or rejects with has the message tried again.
 */
export type Handler<Payload> = (payload: Payload, message: Message<Payload>) => unknown;

/** A consumer of whatever payload. */
export interface ClosableConsumer {
  ended(error: PostriderError): void;
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/**
 * What is done with a message whose handler failed. `requeue`: it could not be stored anew, for a retry or as a dead letter, and is
 * back in its queue. `lost`: it was consumed at most once. `drop`: its queue has no dead letters, or its handler settled it before.
 */
export type FailureEnd = 'retry' | 'dead-letter' | 'requeue' | 'drop' | 'lost';

/** What a consumer tells whoever made it. */
export interface ConsumerHost {
  /** A handler failed, and what is done about it. */
  handlerFailed(error: Error, message: Message, then: FailureEnd): void;
  consumerClosed(consumer: ClosableConsumer): void;
}

/** A running consumer, as `queue.consume()` gives it. It ends with `close()`, with its signal, or with its connection. */
export class Consumer<Payload> implements DeliverySink, MessageHolder {
  /** The queue. */
  readonly queue: string;
  /** Resolves once it is closed, whoever closed it; rejects when the queue is gone, or the engine failed. */
  readonly closed: Promise<void>;
  /** @internal */
  readonly atMostOnce: boolean;
  readonly #host: ConsumerHost;
  readonly #handler: Handler<Payload>;
  readonly #settings: ConsumeSettings;
  readonly #failures: FailurePath;
  readonly #prefetch: Prefetch;
  #link: LinkConsumer | null = null;
  /** Decoded and not begun; from `#next` on. */
  #waiting: Message<Payload>[] = [];
  #next = 0;
  /** Of handlers that have not answered, and messages that a manual one has not settled. */
  readonly #running = new Places({
    fulfilled: (message) => this.#fulfilled(message),
    rejected: (message, error) => this.#rejected(message, error),
  });
  /** Settlements that are under way. */
  #busy = 0;
  #due = false;
  readonly #limit: TimeLimit;
  readonly #reader: PayloadReader<Payload>;
  readonly #bodies = new BodySlab();
  #stopped = false;
  #closing: Promise<void> | null = null;
  #grace: Grace | null = null;
  #idle: (() => void) | null = null;
  #resolveClosed!: () => void;
  #rejectClosed!: (error: PostriderError) => void;
  readonly #run = (): void => this.#turn();

  /** @internal Use `queue.consume()`. */
  constructor(
    host: ConsumerHost,
    queue: string,
    codec: PayloadCodec<Payload, never>,
    handler: Handler<Payload>,
    settings: ConsumeSettings,
  ) {
    this.#host = host;
    this.queue = queue;
    this.#handler = handler;
    this.#settings = settings;
    this.atMostOnce = settings.atMostOnce;
    this.#failures = new FailurePath(queue, settings);
    this.#limit = new TimeLimit(settings.timeoutMs);
    this.#reader = new PayloadReader(codec, this.#bodies, this.#limit, {
      unreadable: (message, error, reason) => this.#unreadable(message, error, reason),
      answered: () => this.#turnAgain(),
    });
    this.#prefetch = new Prefetch(settings.concurrency, settings.prefetch);
    this.closed = new Promise((resolve, reject) => {
      this.#resolveClosed = resolve;
      this.#rejectClosed = reject;
    });
    // Nobody has to look at it.
    this.closed.catch(() => undefined);
  }

  /** @internal */
  begin(link: LinkConsumer): void {
    this.#link = link;
    if (this.#closing === null) {
      this.#limit.watch([this.#running, this.#reader.pending], (message) => this.#late(message));
      return;
    }
    // It ended before it had begun: its queue was deleted meanwhile.
    void link
      .close()
      .catch(() => undefined)
      .then(() => this.#host.consumerClosed(this));
  }

  /** Messages that may be fetched ahead, now: it adapts, unless it was set. */
  get prefetch(): number {
    return this.#prefetch.count;
  }

  /** @internal */
  deliver(delivery: Delivery): boolean {
    const message = new Message(this, this.queue, undefined as Payload, delivery, this.#settings.notation);
    // To be read in a turn of its own, and published again, should its handler fail.
    this.#bodies.keep(message, delivery);
    this.#take(message);
    if (!this.atMostOnce) return true;
    // Nothing else bounds what is sent without acknowledgements.
    if (this.#waiting.length - this.#next < this.#prefetch.count) return true;
    this.#stopped = true;
    return false;
  }

  /** @internal */
  lost(): void {
    // What was settled before it came is not lost.
    if (this.atMostOnce) return;
    for (let at = this.#next; at < this.#waiting.length; at++) this.#waiting[at]!.end();
    this.#waiting = [];
    this.#next = 0;
    const error = new PostriderError(
      'DELIVERY_LOST',
      'the connection died while the message was handled; it will come again',
    );
    for (const message of this.#running.messages) message.abort(error);
  }

  /** @internal */
  ended(error: PostriderError): void {
    this.#rejectClosed(error);
    for (const message of this.#running.messages) message.abort(error);
    void this.close();
  }

  /**
   * No more messages; resolves once the handlers that run have ended. What waits here unhandled goes back to the queue; with
   * `delivery: 'at-most-once'` it was settled already, and is handled first.
   * `graceMs`: after so long (default 30 seconds) the rest is given back too, and its handlers' signals are aborted. Called again, it
   * can only make that shorter.
   */
  async close(options: { readonly graceMs?: number } = {}): Promise<void> {
    checkOptions(`close() of the consumer of queue '${this.queue}'`, options, closeChecks);
    this.#grace ??= new Grace();
    this.#grace.shorten(options.graceMs ?? 30_000);
    this.#closing ??= this.#close(this.#grace);
    await this.#closing;
  }

  /** `close()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @internal */
  async ack(message: Message): Promise<void> {
    this.#ended(message);
    message.keepBody(noBytes, 0, 0);
    if (!this.atMostOnce) await this.#settling(this.#link!.acked(message.tag));
  }

  /** @internal */
  async retry(message: Message, error: Error, delayMs: number | undefined): Promise<void> {
    this.#ended(message);
    await this.#settling(this.#fail(message, error, delayMs));
  }

  /** @internal */
  async deadLetter(message: Message, error: Error, reason: DeadLetterReason): Promise<void> {
    this.#ended(message);
    await this.#settling(this.#giveUp(message, error, reason));
  }

  /** @internal */
  async requeue(message: Message): Promise<void> {
    this.#ended(message);
    message.keepBody(noBytes, 0, 0);
    await this.#settling(this.#link!.requeue(message.tag));
  }

  /** Handlers begin once what brought their messages is done: what was published with them is on its way to the disk then. */
  #take(message: Message<Payload>): void {
    if (this.#waiting.length === 0 && this.#running.size === 0) this.#prefetch.begun();
    this.#waiting.push(message);
    if (this.#due || this.#running.size >= this.#settings.concurrency) return;
    this.#due = true;
    setImmediate(this.#run);
  }

  #turn(): void {
    this.#due = false;
    const { concurrency } = this.#settings;
    while (this.#running.size < concurrency && this.#next < this.#waiting.length && this.#begins) {
      const message = this.#waiting[this.#next]!;
      if (!message.decoded && !this.#read(message) && !message.settled) {
        // In order: who comes next waits for it, but may be read meanwhile.
        this.#readAhead();
        break;
      }
      this.#next += 1;
      if (!message.settled) this.#handle(message);
    }
    if (this.#next === this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
    } else if (this.#next > 1024) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
    this.#adapt();
    if (this.#stopped && this.#waiting.length - this.#next < this.#prefetch.count / 2) {
      this.#stopped = false;
      this.#link!.resume();
    }
  }

  #adapt(): void {
    if (this.atMostOnce || this.#closing !== null) return;
    const rests = this.#running.size === 0 && this.#waiting.length === 0;
    if (this.#prefetch.adapt(rests)) this.#link!.setPrefetch(this.#prefetch.count);
  }

  /** Whether handlers may begin. What is settled before it is delivered is handled even if the consumer closes: it would be lost. */
  get #begins(): boolean {
    return this.#closing === null || this.atMostOnce;
  }

  #handle(message: Message<Payload>): void {
    let answer: Promise<unknown> | null;
    try {
      answer = promised(this.#handler(message.payload, message));
    } catch (error) {
      this.#failed(message, error);
      return;
    }
    if (answer !== null) {
      this.#running.take(message, answer, this.#limit.period);
      return;
    }
    this.#succeeded(message);
    // It holds its place among the concurrent ones until it is settled.
    if (!message.settled) this.#running.take(message, null, this.#limit.period);
  }

  #fulfilled(message: Message): void {
    this.#succeeded(message);
    if (!message.settled) return;
    this.#running.leave(message);
    this.#turnAgain();
  }

  #rejected(message: Message, error: unknown): void {
    this.#running.leave(message);
    this.#failed(message, error);
    this.#turnAgain();
  }

  #succeeded(message: Message): void {
    if (this.#settings.manual) return;
    this.#prefetch.handled();
    if (!message.end()) return;
    message.keepBody(noBytes, 0, 0);
    if (!this.atMostOnce) this.#link!.ack(message.tag);
  }

  #failed(message: Message, thrown: unknown): void {
    this.#prefetch.handled();
    const error = asError(thrown);
    if (!message.end()) {
      // Its own handler settled it before: nothing is left to do but to tell.
      this.#host.handlerFailed(error, message, 'drop');
      return;
    }
    void this.#settling(this.#fail(message, error, undefined)).catch(() => undefined);
  }

  async #fail(message: Message, error: Error, delayMs: number | undefined): Promise<void> {
    if (this.atMostOnce) {
      this.#host.handlerFailed(error, message, 'lost');
      return;
    }
    const again = this.#failures.againAfterMs(message, delayMs);
    if (again === null) return this.#giveUp(message, error, 'failed');
    this.#host.handlerFailed(error, message, 'retry');
    await this.#orBack(message, this.#failures.retry(this.#link!, message, again));
  }

  async #giveUp(message: Message, error: Error, reason: DeadLetterReason): Promise<void> {
    if (this.atMostOnce) {
      this.#host.handlerFailed(error, message, 'lost');
      return;
    }
    this.#host.handlerFailed(error, message, this.#settings.deadLetterQueue === null ? 'drop' : 'dead-letter');
    await this.#orBack(message, this.#failures.deadLetter(this.#link!, message, error, reason));
  }

  /** Where it could not be stored anew, the link has given it back to its queue. */
  async #orBack(message: Message, replaced: Promise<void>): Promise<void> {
    message.keepBody(noBytes, 0, 0);
    try {
      await replaced;
    } catch (error) {
      this.#host.handlerFailed(asError(error), message, 'requeue');
      throw error;
    }
  }

  /** False: there is nothing to handle (it is settled then), or not yet. */
  #read(message: Message<Payload>): boolean {
    const isRead = this.#reader.read(message);
    // It is not published again.
    if (this.atMostOnce && !message.decoding) message.keepBody(noBytes, 0, 0);
    return isRead;
  }

  #readAhead(): void {
    const end = Math.min(this.#waiting.length, this.#next + this.#settings.concurrency);
    for (let at = this.#next + 1; at < end; at++) {
      const message = this.#waiting[at]!;
      if (!message.decoded) this.#read(message);
    }
  }

  #unreadable(message: Message, error: Error, reason: DeadLetterReason): void {
    // Its connection may be gone: it comes again then.
    if (!message.end()) return;
    // Without dead letters it would be lost: the next version of the program may be able to read it.
    const hasNone = this.#settings.deadLetterQueue === null;
    const work = hasNone ? this.#fail(message, error, undefined) : this.#giveUp(message, error, reason);
    void this.#settling(work).catch(() => undefined);
  }

  /** It was settled by its handler: its place is free, if it was held for that. */
  #ended(message: Message): void {
    if (!this.#settings.manual) return;
    this.#prefetch.handled();
    if (this.#running.leave(message)) this.#goOn();
  }

  async #settling(work: Promise<void>): Promise<void> {
    this.#busy += 1;
    try {
      await work;
    } finally {
      this.#busy -= 1;
      this.#tellIdle();
    }
  }

  #goOn(): void {
    if (!this.#due && this.#next < this.#waiting.length && this.#begins) {
      this.#due = true;
      queueMicrotask(this.#run);
    } else {
      this.#adapt();
    }
    this.#tellIdle();
  }

  /** As `goOn`, where nobody else's code is under way: a handler has ended, and the next may begin at once. */
  #turnAgain(): void {
    if (!this.#due && this.#next < this.#waiting.length && this.#begins) this.#turn();
    else this.#adapt();
    this.#tellIdle();
  }

  #tellIdle(): void {
    if (this.#idle !== null && !this.#works) this.#idle();
  }

  /** Something is under way that a close waits for. */
  get #works(): boolean {
    const runs = this.#running.size + this.#reader.pending.size > 0;
    return runs || this.#busy > 0 || (this.atMostOnce && this.#next < this.#waiting.length);
  }

  #late(message: Message): void {
    const { timeoutMs } = this.#settings;
    const what = message.decoded ? 'handler' : 'schema';
    const error = new PostriderError(
      'TIMEOUT',
      `the ${what} of queue '${this.queue}' did not end within ${timeoutMs} ms`,
    );
    message.abort(error);
    // While its payload is read, the connection may be lost: it comes again then.
    if (message.decoded || !message.settled) this.#failed(message, error);
    this.#goOn();
  }

  async #close(grace: Grace): Promise<void> {
    const link = this.#link;
    if (link !== null) await Promise.race([link.cancel().catch(() => undefined), grace.over]);
    if (this.atMostOnce && link !== null) {
      this.#stopped = false;
      link.resume();
      // What the link kept comes in a turn of its own.
      await new Promise((resolve) => setImmediate(resolve));
      this.#goOn();
    }
    if (this.#works) {
      this.#idle = () => grace.end();
      await grace.over;
      const error = new PostriderError(
        'CLOSED',
        'the consumer was closed while the message was handled; it will come again',
      );
      for (const message of this.#running.messages) {
        message.end();
        message.abort(error);
      }
      for (const message of this.#waiting.splice(this.#next)) {
        if (message.end() && this.atMostOnce) this.#host.handlerFailed(error, message, 'lost');
      }
    }
    grace.end();
    this.#limit.end();
    if (link !== null) await link.close().catch(() => undefined);
    this.#host.consumerClosed(this);
    this.#resolveClosed();
  }
}

const noBytes = Buffer.alloc(0);

/** Null: it is no promise, and nothing is waited for. @throws what looking at it throws */
function promised(value: unknown): Promise<unknown> | null {
  if (typeof value !== 'object' || value === null) return null;
  if (value instanceof Promise) return value;
  return typeof (value as PromiseLike<unknown>).then === 'function' ? Promise.resolve(value) : null;
}
