import { performance } from 'node:perf_hooks';
import { ChannelError } from '../../wire/amqp/amqp-error.ts';
import { AckExtensions } from './ack-extensions.ts';
import type { Channel } from './channel.ts';
import type { Connection } from './connection.ts';

/** How often channels are looked at; the setting `shortestAckPeriodMs` says how seldom. */
const longestPeriodMs = 60_000;
const periodsInTimeout = 10;

/** Deliveries with lower tags are at least as old as `atMs`, in time that the connection was read. */
interface Mark {
  readonly below: number;
  readonly atMs: number;
}

/**
 * Closes channels with a delivery that nobody acknowledged for too long, as RabbitMQ does: a consumer that hangs would hold its
 * messages, and the disk beneath them, for ever. How long that is a consumer says, else its queue (`x-consumer-timeout`), else the server.
 * No delivery is dated: now and then the channel's next tag is.
 * While the broker itself does not read the connection (it can't take publishes), no time passes for it.
 */
export class AckDeadlines {
  readonly #connections: ReadonlySet<Connection>;
  /** Infinity: no deadline. */
  readonly #timeoutMs: number;
  readonly #marks = new WeakMap<Channel, Mark[]>();
  readonly #extensions = new WeakMap<Channel, AckExtensions>();
  readonly #shortestPeriodMs: number;
  /** How long some delivery may stay unacknowledged, the shortest. */
  #shortestMs: number;
  #running = false;
  #timer: NodeJS.Timeout | null = null;

  /** `timeoutMs` 0: no deadline. */
  constructor(connections: ReadonlySet<Connection>, timeoutMs: number, shortestPeriodMs: number) {
    this.#connections = connections;
    this.#shortestPeriodMs = shortestPeriodMs;
    this.#timeoutMs = timeoutMs === 0 ? Infinity : timeoutMs;
    this.#shortestMs = this.#timeoutMs;
  }

  start(): void {
    this.#running = true;
    this.#schedule();
  }

  stop(): void {
    this.#running = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Something may have been delivered that may stay unacknowledged for no longer than this. */
  follow(timeoutMs: number): void {
    if (timeoutMs >= this.#shortestMs) return;
    this.#shortestMs = timeoutMs;
    if (this.#running) this.#schedule();
  }

  /** Gives an unacknowledged delivery so much time from now on; what it has anyway it keeps. False: there is no such delivery. */
  extend(channel: Channel, tag: number, ms: number): boolean {
    if (!channel.session.ledger.holds(tag)) return false;
    const nowMs = performance.now();
    const readMs = nowMs - channel.connection.refusedMs(nowMs);
    let extensions = this.#extensions.get(channel);
    if (extensions === undefined) {
      extensions = new AckExtensions(channel.session.ledger);
      this.#extensions.set(channel, extensions);
    }
    extensions.add(tag, readMs + ms, readMs);
    return true;
  }

  #schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#shortestMs === Infinity) return;
    const period = Math.max(
      this.#shortestPeriodMs,
      Math.min(longestPeriodMs, Math.ceil(this.#shortestMs / periodsInTimeout)),
    );
    this.#timer = setTimeout(() => {
      this.#look(performance.now());
      if (this.#running) this.#schedule();
    }, period).unref();
  }

  #look(nowMs: number): void {
    this.#shortestMs = this.#timeoutMs;
    for (const connection of this.#connections) {
      if (connection.state !== 'running') continue;
      for (const channel of connection.channels.all()) {
        this.#shortestMs = Math.min(this.#shortestMs, channel.session.shortestTimeoutMs);
      }
      if (connection.refusing) continue;
      const readMs = nowMs - connection.refusedMs(nowMs);
      for (const channel of connection.channels.all()) {
        const late = channel.open ? this.#late(channel, readMs) : null;
        if (late !== null) end(connection, channel, late);
      }
    }
  }

  /** The time that one of the channel's deliveries has exceeded; null: none is late. */
  #late(channel: Channel, nowMs: number): number | null {
    const { session } = channel;
    if (!session.holdsDeliveries) {
      this.#marks.delete(channel);
      this.#extensions.delete(channel);
      return null;
    }
    const extensions = this.#extensions.get(channel);
    const extended = extensions?.lowest(nowMs) ?? Infinity;
    if (extended === Infinity) this.#extensions.delete(channel);
    const oldest = session.oldestByTimeout(extensions === undefined || extended === Infinity ? null : extensions.tags);
    let marks = this.#marks.get(channel);
    if (oldest.size === 0 && extended === Infinity) {
      if (marks !== undefined) this.#marks.delete(channel);
      return null;
    }
    if (marks === undefined) {
      marks = [];
      this.#marks.set(channel, marks);
    }
    // Those with more time keep their age: once it is over they are late.
    const oldestOfAll = Math.min(...oldest.values(), extended);
    while (marks.length > 0 && marks[0]!.below <= oldestOfAll) marks.shift();
    for (const [own, tag] of oldest) {
      const timeoutMs = own ?? this.#timeoutMs;
      const since = marks.find(({ below }) => below > tag)?.atMs ?? nowMs;
      if (timeoutMs > 0 && nowMs - since >= timeoutMs) return timeoutMs;
    }
    const { next } = session.ledger;
    const last = marks.at(-1);
    const apartMs = Math.min(this.#timeoutMs, session.shortestTimeoutMs) / (2 * periodsInTimeout);
    if (last === undefined || (last.below !== next && nowMs - last.atMs >= Math.min(apartMs, longestPeriodMs / 2))) {
      marks.push({ below: next, atMs: nowMs });
    }
    return null;
  }
}

function end(connection: Connection, channel: Channel, timeoutMs: number): void {
  const text =
    `delivery acknowledgement on channel ${channel.number} timed out. ` +
    `Timeout value used: ${timeoutMs} ms. This timeout value can be configured: --consumer-timeout, x-consumer-timeout`;
  connection.methodFailed(channel, 0, new ChannelError('PRECONDITION_FAILED', text));
}
