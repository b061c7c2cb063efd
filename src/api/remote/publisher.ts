/**
 * Everything that is published, on a connection of its own: a broker that takes no more messages (its disk is full) stops reading
 * the connections that publish, and acknowledgements, which make room, must not wait behind them.
 *
 * While the broker is away or blocked, publishes wait, for as long as it takes: whoever wants an end to it gives an `AbortSignal`, or
 * closes. A broker that is there and does not let them in is told to them at each attempt. Nothing bounds their number but that whoever publishes should await.
 */
import type { Envelope } from 'rabbitmq-client';
import { closedError, PostriderError } from '../errors.ts';
import type { Address, Outgoing } from '../link.ts';
import { nameOf, queueFull } from '../message-outcomes.ts';
import { Waits } from '../waits.ts';
import type { DelayQueues } from './delay-queues.ts';
import { Lane, type Pending } from './lane.ts';
import type { ConnectionWatch, RemoteConnection } from './remote-connection.ts';
import { remoteFailure } from './remote-failure.ts';
import { envelopeOf } from './remote-message.ts';
import type { Topology } from './topology.ts';

/** Such messages go one by one, since a broker closes the channel on one that is too large for it. */
const largeBytes = 1024 * 1024;
/** How long `close` waits for confirms; of a broker that takes nothing more, only those that were on their way. */
const drainMs = 30_000;
const blockedDrainMs = 1_000;

interface Job {
  readonly to: Address;
  readonly message: Outgoing;
  /** From a broker, and back to it. */
  readonly again: boolean;
  readonly signal: AbortSignal | undefined;
  readonly resolve: () => void;
  readonly reject: (error: PostriderError) => void;
}

export class Publisher {
  readonly #connect: (watch: ConnectionWatch) => RemoteConnection;
  readonly #events: ConnectionWatch;
  /** The other one, where queues for delayed messages are made. */
  readonly #declaring: RemoteConnection;
  readonly #topology: Topology;
  readonly #delays: DelayQueues;
  /** By exchange; null: for what is large. */
  readonly #lanes = new Map<string | null, Lane>();
  #connection: RemoteConnection | null = null;
  #closed = false;
  /** The last one, and what it was made of: many messages share it. */
  #envelope: Envelope = {};
  #address: Address | null = null;
  #properties: Outgoing['properties'] | null = null;
  /** Delayed messages whose queue is being made. */
  readonly #preparing = new Set<Promise<void>>();
  #delayed = new Waits();

  constructor(
    connect: (watch: ConnectionWatch) => RemoteConnection,
    events: ConnectionWatch,
    declaring: RemoteConnection,
    topology: Topology,
    delays: DelayQueues,
  ) {
    this.#connect = connect;
    this.#events = events;
    this.#declaring = declaring;
    this.#topology = topology;
    this.#delays = delays;
  }

  publish(to: Address, message: Outgoing, again = false, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) reject(closedError("can't publish: the connection"));
      else this.#begin({ to, message, again, signal, resolve, reject });
    });
  }

  /** Everything published is answered: what can't be sent now is rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    const drain = this.#connection?.blocked === true ? blockedDrainMs : drainMs;
    const impatient = setTimeout(() => {
      this.giveUpDelayed(closedError('the connection'));
      for (const lane of this.#lanes.values()) lane.abandon();
    }, drain);
    if (!this.#declaring.up) this.giveUpDelayed(closedError('the connection'));
    await Promise.all(this.#preparing);
    await Promise.all(Array.from(this.#lanes.values(), (lane) => lane.close()));
    clearTimeout(impatient);
    await this.#connection?.close();
  }

  /** Rejects the delayed messages whose queue is not made yet. */
  giveUpDelayed(error: PostriderError): void {
    this.#delayed.end(error);
    this.#delayed = new Waits();
  }

  #begin(job: Job): void {
    if (job.message.delayMs > 0) {
      const prepared = this.#delay(job).catch((error: unknown) => job.reject(remoteFailure(error)));
      this.#preparing.add(prepared);
      void prepared.then(() => this.#preparing.delete(prepared));
      return;
    }
    const { to, message, again, signal, resolve, reject } = job;
    try {
      const { properties, body } = message;
      if (to !== this.#address || properties !== this.#properties || again) {
        this.#envelope = envelopeOf(to, properties, again, this.#connected().frameMaxBytes);
        this.#address = again ? null : to;
        this.#properties = properties;
      }
      this.#send({
        to,
        envelope: this.#envelope,
        body: asBuffer(body),
        until: Infinity,
        late: never,
        signal,
        resolve,
        reject,
        returned: false,
      });
    } catch (error) {
      reject(remoteFailure(error));
    }
  }

  async #delay(job: Job): Promise<void> {
    const { to, message, again, signal, resolve } = job;
    // The broker would take it for the delay. A message that was delivered in time and is tried again has no other any more.
    const { expiration, ...properties } = message.properties;
    if (expiration !== undefined && !again) {
      throw new PostriderError(
        'UNSUPPORTED',
        'over amqp: a message with delayMs can have no expiresMs: a broker forgets it when the delay is over; leave one out, or set messageTtlMs of the queue',
      );
    }
    const { address, until } = await this.#delayed.for(this.#queueFor(to, message.delayMs));
    const reject = (error: PostriderError): void => {
      if (error.code !== 'UNROUTABLE') job.reject(error);
      else {
        // Somebody deleted the queue; the message came back, so it is stored nowhere.
        this.#delays.forget();
        this.#begin(job);
      }
    };
    const late = (): void => this.#begin(job);
    const envelope = envelopeOf(address, properties, again, this.#connected().frameMaxBytes);
    const body = asBuffer(message.body);
    this.#send({ to: address, envelope, body, until, late, signal, resolve, reject, returned: false });
  }

  /** Waits for the broker as all that is published. */
  async #queueFor(to: Address, delayMs: number): ReturnType<DelayQueues['queueFor']> {
    for (;;) {
      await this.#declaring.whenUp();
      try {
        return await this.#delays.queueFor(to, delayMs);
      } catch (error) {
        if (this.#closed || !(error instanceof PostriderError) || error.code !== 'UNREACHABLE') throw error;
      }
    }
  }

  #send(pending: Pending): void {
    const { to, body } = pending;
    this.#lane(to.exchange, body.length > largeBytes).push(pending);
  }

  /** One for each exchange, so that an error of one exchange is told to nobody else. */
  #lane(exchange: string, large: boolean): Lane {
    const name = large ? null : exchange;
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = new Lane(this.#connected(), (to) => this.#refusal(to), large);
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  /** Made when it is first needed: who only consumes has one connection. */
  #connected(): RemoteConnection {
    this.#connection ??= this.#connect({
      up: (first) => {
        this.#events.up(first);
        this.#pump();
      },
      down: (error) => {
        this.#events.down(error);
        if (this.#closed) for (const lane of this.#lanes.values()) lane.giveUp();
      },
      refused: (error) => {
        this.#events.refused(error);
        for (const lane of this.#lanes.values()) lane.giveUp(error);
      },
      blocked: (reason) => {
        this.#events.blocked(reason);
        if (this.#closed) for (const lane of this.#lanes.values()) lane.giveUp();
      },
      unblocked: () => {
        this.#events.unblocked();
        this.#pump();
      },
    });
    return this.#connection;
  }

  #pump(): void {
    for (const lane of this.#lanes.values()) lane.pump();
  }

  /** A broker says no more than that it did not take it. */
  #refusal(to: Address): PostriderError {
    const limited = to.exchange === '' ? this.#topology.known(to.routingKey)?.refusesWhenFull : undefined;
    if (limited === false) {
      return new PostriderError('REFUSED', `the broker could not store a message for ${nameOf(to)}; its log says why`);
    }
    return queueFull(to, this.#topology.limitedBehind(to), ', or the broker could not store it (its disk is full?)');
  }
}

function asBuffer(bytes: Uint8Array | string): Buffer {
  if (typeof bytes === 'string') return Buffer.from(bytes);
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function never(): void {
  throw new PostriderError('INTERNAL', 'a message without an end was late');
}
