/** Dead letters back to where they came from. */
import { setTimeout as sleep } from 'node:timers/promises';
import { aborted, listenTo, throwIfAborted } from './abort.ts';
import { asError, PostriderError } from './errors.ts';
import type { Address, Delivery, DeliverySink, LinkConsumer, Outgoing } from './link.ts';
import { deathOf, revivedHeaders } from './message-headers.ts';
import type { MqCore } from './mq-core.ts';
import { deadSuffix } from './names.ts';
import { callable, checkOptions, type Checks, integer, number, signal } from './option-check.ts';

/** A message of a dead-letter queue, as the filter of `redrive()` sees it. */
export interface DeadLetter {
  /** The queue that it came from. */
  readonly queue: string;
  /** Why it is dead: see `DeadLetterReason`. */
  readonly reason: string;
  /** The error of its last handler, empty where there was none. */
  readonly error: string;
  /** As given when it was published. */
  readonly id: string | undefined;
  /** With those that tell of its death. */
  readonly headers: Readonly<Record<string, unknown>>;
  /** The payload, as it was sent. */
  readonly body: Buffer;
}

/** Which dead letters `redrive()` sends back, and how fast. */
export interface RedriveOptions {
  /** Most messages. Default: all that are there. */
  readonly limit?: number;
  /** Which ones. */
  readonly filter?: (letter: DeadLetter) => boolean;
  /** Most a second. Default: no limit. */
  readonly ratePerSecond?: number;
  /** Stops it; what was sent back stays so. */
  readonly signal?: AbortSignal;
}

const checks: Checks<RedriveOptions> = {
  limit: integer(1),
  filter: callable,
  ratePerSecond: number(0.001, 1e9),
  signal,
};
/** Unsettled at a time, beside what the filter turned down: that is kept unsettled until the end, or it would come again. */
const prefetch = 100;
/** Of one consumer, in AMQP. */
const mostPrefetch = 65_535;
/** Another consumer may take what was counted, and somebody may close. */
const lookMs = 500;
const answeredWithinMs = 250;

/** @throws PostriderError INVALID_OPTION, QUEUE_NOT_FOUND, ABORTED, and what publishing to the origin throws; its `moved` says how many were sent back before */
export async function redrive(core: MqCore, name: string, options: RedriveOptions): Promise<number> {
  const where = `redrive() of queue '${name}'`;
  checkOptions(where, options, checks);
  core.requireOpen('redrive');
  throwIfAborted(options.signal, where);
  const { ready } = await core.link.checkQueue(name);
  return ready === 0 ? 0 : new Redrive(core, name, where, options, ready).run();
}

/** One run. A consumer that has turned down as many as it may hold is followed by another. */
class Redrive {
  readonly #core: MqCore;
  readonly #name: string;
  readonly #where: string;
  readonly #ready: number;
  readonly #limit: number;
  readonly #filter: (letter: DeadLetter) => boolean;
  readonly #intervalMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #takers: Taker[] = [];
  /** Ends the waits when nothing more is to be sent back. */
  readonly #over = new AbortController();
  #seen = 0;
  #moved = 0;
  #failure: PostriderError | null = null;
  /** What is sent back, one after another. */
  #work: Promise<void> = Promise.resolve();
  #nextAt = performance.now();

  constructor(core: MqCore, name: string, where: string, options: RedriveOptions, ready: number) {
    this.#core = core;
    this.#name = name;
    this.#where = where;
    this.#ready = ready;
    this.#limit = options.limit ?? Infinity;
    this.#filter = options.filter ?? (() => true);
    this.#intervalMs = options.ratePerSecond === undefined ? 0 : 1000 / options.ratePerSecond;
    this.#signal = options.signal;
  }

  async run(): Promise<number> {
    const over = new Promise<void>((resolve) => this.#over.signal.addEventListener('abort', () => resolve()));
    const signal = this.#signal;
    const stop = (): void => this.fail(aborted(signal!, this.#where));
    if (signal !== undefined) listenTo(signal, stop);
    if (signal?.aborted === true) stop();
    const looking = setInterval(() => void this.#look(), lookMs);
    await this.#takeMore();
    await over;
    clearInterval(looking);
    signal?.removeEventListener('abort', stop);
    if (this.#failure !== null) await this.#giveUp();
    await this.#work;
    await this.#closeTakers();
    if (this.#failure !== null) throw incomplete(this.#failure, this.#moved);
    return this.#moved;
  }

  /** What is on its way is soon answered, or waits for a full disk: then it goes back. */
  async #giveUp(): Promise<void> {
    const answered = new AbortController();
    const late = sleep(answeredWithinMs, undefined, { signal: answered.signal }).catch(() => undefined);
    await Promise.race([this.#work, late]);
    answered.abort();
    await this.#closeTakers();
  }

  async #closeTakers(): Promise<void> {
    for (const taker of this.#takers) await taker.close();
  }

  /** A message that came to one of the consumers. */
  take(delivery: Delivery, taker: Taker): void {
    if (this.#seen >= this.#ready || this.#over.signal.aborted) return;
    this.#seen += 1;
    const kept = keep(delivery);
    const letter = letterOf(this.#name, kept);
    // What came from no other queue has nowhere to go.
    if (this.#wants(letter) && letter.queue !== this.#name) {
      this.#work = this.#work
        .then(() => this.#revive(letter, kept, taker))
        .catch((error: unknown) => this.fail(error as PostriderError));
    } else if (taker.turnDown()) {
      void this.#takeMore();
    }
    const isLast = this.#seen >= this.#ready;
    this.#work = this.#work.then(() => {
      if (isLast || this.#moved >= this.#limit) this.#over.abort();
    });
  }

  fail(error: PostriderError): void {
    this.#failure ??= error;
    this.#over.abort();
  }

  lost(): void {
    const why = `the connection was lost during ${this.#where}; redrive again for the rest`;
    this.fail(new PostriderError('UNKNOWN_OUTCOME', why));
  }

  #wants(letter: DeadLetter): boolean {
    try {
      const answer: unknown = this.#filter(letter);
      if (answer instanceof Promise) throw new Error('it must answer at once, not with a promise');
      return Boolean(answer);
    } catch (error) {
      const why = `${this.#where}: its filter threw: ${asError(error).message}`;
      this.fail(new PostriderError('INVALID_OPTION', why, { cause: error }));
      return false;
    }
  }

  async #takeMore(): Promise<void> {
    const taker = new Taker(this);
    this.#takers.push(taker);
    try {
      await taker.open(this.#core, this.#name);
    } catch (error) {
      this.fail(error as PostriderError);
    }
  }

  async #revive(letter: DeadLetter, { tag, properties }: Kept, taker: Taker): Promise<void> {
    if (this.#intervalMs > 0) await this.#pace();
    if (this.#over.signal.aborted || this.#moved >= this.#limit) return;
    await taker.replace(
      tag,
      { exchange: '', routingKey: letter.queue, mandatory: true },
      { body: letter.body, properties: { ...properties, headers: revivedHeaders(properties.headers) }, delayMs: 0 },
    );
    this.#moved += 1;
  }

  async #pace(): Promise<void> {
    const waitMs = this.#nextAt - performance.now();
    if (waitMs > 0) await sleep(waitMs, undefined, { signal: this.#over.signal }).catch(() => undefined);
    this.#nextAt = Math.max(this.#nextAt, performance.now()) + this.#intervalMs;
  }

  async #look(): Promise<void> {
    try {
      // Nobody else tells of a close, or of a failed engine.
      this.#core.requireOpen('redrive');
    } catch (error) {
      this.fail(error as PostriderError);
      return;
    }
    try {
      const { ready } = await this.#core.link.checkQueue(this.#name);
      if (ready === 0 && this.#seen < this.#ready) void this.#work.then(() => this.#over.abort());
    } catch {
      // A lost connection, or a deleted queue, is told to the consumers.
    }
  }
}

/** One consumer of the run. */
class Taker implements DeliverySink {
  readonly #run: Redrive;
  #opening: Promise<LinkConsumer> | null = null;
  #link: LinkConsumer | null = null;
  #turnedDown = 0;
  #closing: Promise<void> | null = null;

  constructor(run: Redrive) {
    this.#run = run;
  }

  async open(core: MqCore, name: string): Promise<void> {
    const traits = { prefetch, noAck: false, exclusive: false, priority: 0 };
    this.#opening = core.link.consume(name, traits, this);
    this.#link = await this.#opening;
    this.#link.setPrefetch(this.#prefetch);
  }

  /** It holds one more. True: from now on it can take no more. */
  turnDown(): boolean {
    this.#turnedDown += 1;
    if (this.#turnedDown <= mostPrefetch - prefetch) this.#link?.setPrefetch(this.#prefetch);
    return this.#turnedDown === mostPrefetch - prefetch;
  }

  replace(tag: number, to: Address, message: Outgoing): Promise<void> {
    return this.#link!.replace(tag, to, message);
  }

  deliver(delivery: Delivery): boolean {
    this.#run.take(delivery, this);
    return true;
  }

  lost(): void {
    this.#run.lost();
  }

  ended(error: PostriderError): void {
    this.#run.fail(error);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#opening?.catch(() => undefined);
    await this.#link?.cancel().catch(() => undefined);
    await this.#link?.close().catch(() => undefined);
  }

  get #prefetch(): number {
    return Math.min(mostPrefetch, prefetch + this.#turnedDown);
  }
}

function incomplete({ code, message, cause }: PostriderError, moved: number): PostriderError {
  const text = `${message}; ${moved} ${moved === 1 ? 'message was' : 'messages were'} sent back before`;
  return new PostriderError(code, text, { cause, moved });
}

type Kept = Pick<Delivery, 'tag' | 'properties'> & { readonly body: Buffer };

function keep({ tag, properties, body, bodyStart, bodyEnd }: Delivery): Kept {
  return { tag, properties, body: Buffer.from(body.subarray(bodyStart, bodyEnd)) };
}

function letterOf(name: string, { properties, body }: Kept): DeadLetter {
  const death = deathOf(properties.headers);
  const origin = name.endsWith(deadSuffix) ? name.slice(0, -deadSuffix.length) : name;
  return {
    queue: death?.queue ?? origin,
    reason: death?.reason ?? '',
    error: death?.error ?? '',
    id: properties.messageId,
    headers: properties.headers ?? {},
    body,
  };
}
