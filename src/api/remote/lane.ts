/**
 * One channel for publishing, with confirms. Many messages are in flight at a time, once one was confirmed: until then one at a time, so
 * that an error of the channel (no such exchange, no permission) is surely that of the one message, and the others are not touched.
 *
 * What is in flight when channel or connection end is of unknown outcome and never sent again. What was not sent waits.
 */
import type { Channel, Envelope, ReturnedMessage } from 'rabbitmq-client';
import { aborted } from '../abort.ts';
import { closedError, PostriderError } from '../errors.ts';
import type { Address } from '../link.ts';
import { unroutable } from '../message-outcomes.ts';
import type { RemoteConnection } from './remote-connection.ts';
import { isLoss, isVerdict, remoteFailure } from './remote-failure.ts';

export interface Pending {
  readonly to: Address;
  readonly envelope: Envelope;
  readonly body: Buffer;
  /** Not to be sent any more from then on, but given to `late`; `Infinity`: never. */
  readonly until: number;
  late(): void;
  /** Aborted: not to be sent any more. */
  readonly signal: AbortSignal | undefined;
  resolve(): void;
  reject(error: PostriderError): void;
  /** The broker sent it back. */
  returned: boolean;
}

/** Unconfirmed at a time: what is beyond waits here, where a lost connection can do it no harm. */
const mostInFlight = 4_096;
/** Waiting, until those among them that were aborted are let go for the first time. */
const firstSweep = 1_024;

export class Lane {
  readonly #connection: RemoteConnection;
  readonly #refusal: (to: Address) => PostriderError;
  /** One at a time, always. */
  readonly #single: boolean;
  #channel: Channel | null = null;
  #opening = false;
  #proven = false;
  #waiting: Pending[] = [];
  #next = 0;
  /** Of those that wait, so many at the front that the broker had no space for. */
  #again = 0;
  #sweepAt = firstSweep;
  readonly #inFlight = new Set<Pending>();
  /** Confirmed, and told a little later: whether the broker sent a message back is known after its confirm. */
  #confirmed: Pending[] = [];
  /** Why the channel ended, where the broker said it. */
  #why: unknown = null;
  #idle: (() => void)[] = [];
  #closed = false;

  constructor(connection: RemoteConnection, refusal: (to: Address) => PostriderError, single: boolean) {
    this.#connection = connection;
    this.#refusal = refusal;
    this.#single = single;
  }

  push(pending: Pending): void {
    this.#waiting.push(pending);
    this.pump();
    if (this.#left > this.#sweepAt) this.#sweep();
  }

  /** Sends what may be sent. */
  pump(): void {
    if (this.#left === 0 || this.#connection.blocked) return;
    const channel = this.#channel;
    if (channel?.active !== true) {
      if (!this.#opening && this.#connection.up) void this.#open();
      return;
    }
    this.#again = 0;
    const window = this.#single || !this.#proven ? 1 : mostInFlight;
    while (this.#inFlight.size < window && this.#left > 0) {
      const pending = this.#waiting[this.#next]!;
      this.#next += 1;
      if (pending.signal?.aborted === true) pending.reject(aborted(pending.signal, 'the publish'));
      else if (pending.until !== Infinity && pending.until <= Date.now()) pending.late();
      else this.#send(channel, pending);
    }
    if (this.#left === 0) {
      this.#waiting = [];
      this.#next = 0;
      this.#sweepAt = firstSweep;
      this.#tellIdle();
    } else if (this.#next > 4_096) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
  }

  /** Resolves once everything is answered; what can't be sent now is given up. */
  async close(): Promise<void> {
    this.#closed = true;
    if (!this.#connection.up || this.#connection.blocked) this.giveUp();
    while (this.#inFlight.size > 0 || this.#left > 0) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
    if (this.#channel !== null && !this.#connection.blocked) await this.#connection.closeChannel(this.#channel);
  }

  /** Rejects what was not sent. */
  giveUp(error: PostriderError = closedError('the connection')): void {
    const waiting = this.#waiting.slice(this.#next);
    this.#waiting = [];
    this.#next = 0;
    for (const pending of waiting) pending.reject(error);
    this.#tellIdle();
  }

  /** Rejects what is in flight as well. */
  abandon(): void {
    this.giveUp();
    this.#lost(new Error('the broker gave no answer before the connection was closed'));
  }

  /** What was aborted is not kept until a broker is back. */
  #sweep(): void {
    const waiting = this.#waiting.slice(this.#next);
    this.#waiting = waiting.filter((pending) => {
      if (pending.signal?.aborted !== true) return true;
      pending.reject(aborted(pending.signal, 'the publish'));
      return false;
    });
    this.#next = 0;
    this.#sweepAt = Math.max(firstSweep, 2 * this.#waiting.length);
  }

  get #left(): number {
    return this.#waiting.length - this.#next;
  }

  async #open(): Promise<void> {
    this.#opening = true;
    try {
      const channel = await this.#connection.channel();
      channel.on('basic.return', (message) => this.#returned(message));
      // Of a message that is still being written when the broker refuses it.
      channel.on('error', (error: unknown) => (this.#why = error));
      await channel.confirmSelect();
      this.#channel = channel;
      this.#proven = false;
      channel.once('close', () => {
        // Answers that are on their way come first.
        setImmediate(() => setImmediate(() => setImmediate(() => this.#channelEnded(channel))));
      });
      if (!channel.active) this.#channelEnded(channel);
    } catch (error) {
      // Lost again: the next connection pumps.
      if (!isLoss(error)) this.giveUp(remoteFailure(error));
    }
    this.#opening = false;
    if (this.#closed && !this.#connection.up) this.giveUp();
    else this.pump();
  }

  #send(channel: Channel, pending: Pending): void {
    this.#inFlight.add(pending);
    channel.basicPublish(pending.envelope, pending.body).then(
      () => this.#confirm(pending),
      (error: unknown) => this.#failed(pending, error),
    );
  }

  #confirm(pending: Pending): void {
    this.#proven = true;
    if (this.#confirmed.push(pending) > 1) return;
    // A return is told in a turn of its own, which may be behind this one: those of all that are here by then are before the next.
    setImmediate(() => {
      const confirmed = this.#confirmed;
      this.#confirmed = [];
      setImmediate(() => this.#tell(confirmed));
    });
  }

  #tell(confirmed: readonly Pending[]): void {
    for (const pending of confirmed) {
      if (!this.#inFlight.delete(pending)) continue;
      if (pending.returned) pending.reject(unroutable(pending.to));
      else pending.resolve();
    }
    this.pump();
    this.#tellIdle();
  }

  #failed(pending: Pending, error: unknown): void {
    if ((error as { code?: unknown }).code !== 'NACK') {
      // The channel has ended. With several in flight nobody knows whose fault it was: all are told when that is told.
      if (isVerdict(error)) this.#why = error;
      return;
    }
    this.#proven = true;
    if (this.#connection.blocked) this.#sendAgain(pending);
    else this.#reject(pending, this.#refusal(pending.to));
    this.pump();
  }

  /** The broker has no space for anything: it did not store this one, which waits as if it had not been sent. */
  #sendAgain(pending: Pending): void {
    if (!this.#inFlight.delete(pending)) return;
    this.#waiting.splice(this.#next + this.#again, 0, pending);
    this.#again += 1;
    if (this.#closed) this.giveUp();
  }

  #reject(pending: Pending, error: PostriderError): void {
    if (this.#inFlight.delete(pending)) pending.reject(error);
    this.#tellIdle();
  }

  /**
   * Returns carry no number, only the message: it is the first that looks like it. Of two that are equal in all, one is as good as the
   * other.
   */
  #returned({ exchange, routingKey, body }: ReturnedMessage): void {
    for (const pending of this.#inFlight) {
      const { to } = pending;
      if (pending.returned || !to.mandatory || to.exchange !== exchange || to.routingKey !== routingKey) continue;
      if (!pending.body.equals(body as Buffer)) continue;
      pending.returned = true;
      return;
    }
  }

  #channelEnded(channel: Channel): void {
    if (this.#channel !== channel) return;
    this.#channel = null;
    const why = this.#why;
    this.#why = null;
    const [only] = this.#inFlight;
    if (why === null) this.#lost(new Error('the connection ended'));
    else if (only !== undefined && this.#inFlight.size === 1) this.#reject(only, remoteFailure(why));
    else this.#lost(remoteFailure(why));
    if (this.#closed) this.giveUp();
    else this.pump();
  }

  #lost(why: Error): void {
    for (const pending of this.#inFlight) {
      pending.reject(
        new PostriderError('UNKNOWN_OUTCOME', `whether the message is stored is not known: ${why.message}`, {
          cause: why,
        }),
      );
    }
    this.#inFlight.clear();
    this.#tellIdle();
  }

  #tellIdle(): void {
    if (this.#inFlight.size > 0 || this.#left > 0) return;
    for (const told of this.#idle.splice(0)) told();
  }
}
