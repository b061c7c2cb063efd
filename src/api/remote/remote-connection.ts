/** One connection to a broker, which is made again whenever it is lost, for as long as nobody closes it. */
import type { Channel } from 'rabbitmq-client';
import { closedError, PostriderError } from '../errors.ts';
import type { AmqpAddress } from './amqp-url.ts';
import { BrokerConnection, type Server } from './broker-connection.ts';
import { hopeless, unreachable, whatHappened } from './remote-failure.ts';

export interface ConnectionWatch {
  /** `first`: nobody was told that it is down. */
  up(first: boolean): void;
  /** It is lost; or, where nobody waits in `open`, could not be made at the first attempt. */
  down(error: PostriderError): void;
  /** While it is down, at each attempt: the broker does not let it in. It is tried again all the same, since somebody may mend that. */
  refused(error: PostriderError): void;
  blocked(reason: string): void;
  unblocked(): void;
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: PostriderError) => void;
}

/** Waits between attempts, in milliseconds; drawn at random between the first and what doubles up to the last. */
const retryMs = { retryLow: 100, retryHigh: 5_000 };
/** How long the broker may take for what it is asked at a close. */
const closeWithinMs = 5_000;

export class RemoteConnection {
  readonly #address: AmqpAddress;
  readonly #client: BrokerConnection;
  readonly #watch: ConnectionWatch;
  readonly #waiting = new Set<Waiting>();
  #state: 'first' | 'up' | 'down' | 'closed' = 'first';
  #blocked = false;
  #lastError: unknown = null;
  /** It left a close without an answer. */
  #isSilent = false;
  /** Somebody waits for the first connection, and is told why there is none. */
  #opening: ((error: PostriderError) => void) | null = null;

  constructor(address: AmqpAddress, name: string | undefined, attemptMs: number, watch: ConnectionWatch) {
    this.#address = address;
    this.#watch = watch;
    this.#client = new BrokerConnection({
      ...address.client,
      ...retryMs,
      connectionTimeout: attemptMs,
      noDelay: true,
      ...(name === undefined ? {} : { connectionName: name }),
    });
    this.#client.onEnd = (error) => this.#ended(error);
    this.#client.on('connection', () => this.#made());
    // The same is told to `onEnd`.
    this.#client.on('error', () => undefined);
    this.#client.on('connection.blocked', (reason) => {
      this.#blocked = true;
      this.#watch.blocked(reason);
    });
    this.#client.on('connection.unblocked', () => this.#unblock());
  }

  get server(): Server {
    return this.#client.server;
  }

  get up(): boolean {
    return this.#state === 'up';
  }

  /** The broker takes no publishes for now. */
  get blocked(): boolean {
    return this.#blocked;
  }

  get frameMaxBytes(): number {
    return this.#client.frameMaxBytes;
  }

  /** The first connection; a failure closes this one. @throws PostriderError UNREACHABLE, ACCESS_REFUSED */
  async open(timeoutMs: number): Promise<void> {
    const hopelessly = new Promise<never>((_resolve, reject) => (this.#opening = reject));
    try {
      await Promise.race([this.whenUp(timeoutMs), hopelessly]);
    } catch (error) {
      this.#destroy();
      throw error;
    } finally {
      this.#opening = null;
    }
  }

  /** @param since when the wait began. @throws PostriderError UNREACHABLE, CLOSED */
  async whenUp(timeoutMs = Infinity, since = performance.now()): Promise<void> {
    if (this.#state === 'up') return;
    if (this.#state === 'closed') throw closedError('the connection');
    let timer: NodeJS.Timeout | undefined;
    let waiting!: Waiting;
    try {
      await new Promise<void>((resolve, reject) => {
        waiting = { resolve, reject };
        this.#waiting.add(waiting);
        if (timeoutMs === Infinity) return;
        const late = (): void => reject(unreachable(this.#address.shown, timeoutMs, this.#lastError));
        timer = setTimeout(late, since + timeoutMs - performance.now());
      });
    } finally {
      this.#waiting.delete(waiting);
      clearTimeout(timer);
    }
  }

  /** A channel of one's own, once there is a connection. @throws PostriderError UNREACHABLE, CLOSED, and the client's errors */
  async channel(timeoutMs = Infinity, since?: number): Promise<Channel> {
    await this.whenUp(timeoutMs, since);
    const channel = await this.#client.acquire({ emitErrorsFromChannel: true });
    // Whoever cares adds a listener; without any it would be thrown.
    channel.on('error', () => undefined);
    return channel;
  }

  /** Gives back what is unsettled. A broker that does not answer is not waited for. */
  async closeChannel(channel: Channel): Promise<void> {
    await this.lastAnswer(channel.close());
  }

  /** For what is still to be answered at a close, as long as a broker may take: once for all of it, should it not answer at all. */
  async lastAnswer(work: Promise<unknown>): Promise<void> {
    const answered = work.catch(() => undefined);
    if (this.#isSilent) return;
    let impatient: NodeJS.Timeout | undefined;
    const given = new Promise<void>((resolve) => {
      impatient = setTimeout(() => {
        this.#isSilent = true;
        void answered.then(() => (this.#isSilent = false));
        resolve();
      }, closeWithinMs);
    });
    await Promise.race([answered, given]);
    clearTimeout(impatient);
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    // A broker that takes nothing does not take a goodbye.
    const polite = this.#state === 'up' && !this.#blocked && !this.#isSilent;
    this.#shut();
    if (!polite) {
      this.#client.unsafeDestroy();
      return;
    }
    const impatient = setTimeout(() => this.#client.unsafeDestroy(), closeWithinMs);
    await this.#client.close().catch(() => undefined);
    clearTimeout(impatient);
  }

  #made(): void {
    const first = this.#state === 'first';
    if (this.#state === 'closed') return;
    this.#state = 'up';
    this.#lastError = null;
    this.#isSilent = false;
    for (const { resolve } of this.#waiting) resolve();
    this.#waiting.clear();
    this.#watch.up(first);
  }

  #ended(error: Error): void {
    if (this.#state === 'closed') return;
    this.#lastError = error;
    const { shown, user } = this.#address;
    const wasUp = this.#state === 'up';
    const refusal = wasUp ? null : hopeless(error, shown, user);
    if (this.#state === 'first' && this.#opening !== null) {
      if (refusal !== null) this.#opening(refusal);
      return;
    }
    if (this.#state !== 'down') {
      this.#state = 'down';
      const what = wasUp ? `the connection to ${shown} was lost` : `no connection to ${shown} could be made`;
      const because = { cause: error };
      this.#watch.down(refusal ?? new PostriderError('UNREACHABLE', `${what}: ${whatHappened(error)}`, because));
      // The next connection is told anew.
      this.#unblock();
    }
    if (refusal !== null) this.#watch.refused(refusal);
  }

  #unblock(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#watch.unblocked();
  }

  #destroy(): void {
    this.#shut();
    this.#client.unsafeDestroy();
  }

  #shut(): void {
    this.#state = 'closed';
    for (const { reject } of this.#waiting) reject(closedError('the connection'));
    this.#waiting.clear();
  }
}
