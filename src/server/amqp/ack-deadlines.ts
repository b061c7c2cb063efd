import { performance } from 'node:perf_hooks';
import { ChannelError } from '../../wire/amqp/amqp-error.ts';
import type { Channel } from './channel.ts';
import type { Connection } from './connection.ts';

/** How often channels are looked at: a delivery may be late by as much. */
const longestPeriodMs = 60_000;
const periodsInTimeout = 10;

/** Deliveries with lower tags are at least as old as `atMs`, in time that the connection was read. */
interface Mark {
  readonly below: number;
  readonly atMs: number;
}

/**
 * Closes channels with a delivery that nobody acknowledged for too long, as RabbitMQ does: a consumer that hangs would hold its
 * messages, and the disk beneath them, for ever. No delivery is dated: now and then the channel's next tag is.
 * While the broker itself does not read the connection (it can't take publishes), no time passes for it.
 */
export class AckDeadlines {
  readonly #connections: ReadonlySet<Connection>;
  readonly #timeoutMs: number;
  readonly #marks = new WeakMap<Channel, Mark[]>();
  #timer: NodeJS.Timeout | null = null;

  /** `timeoutMs` 0: no deadline. */
  constructor(connections: ReadonlySet<Connection>, timeoutMs: number) {
    this.#connections = connections;
    this.#timeoutMs = timeoutMs;
  }

  start(): void {
    if (this.#timeoutMs === 0) return;
    const period = Math.min(longestPeriodMs, Math.ceil(this.#timeoutMs / periodsInTimeout));
    this.#timer ??= setInterval(() => this.#look(performance.now()), period).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #look(nowMs: number): void {
    for (const connection of this.#connections) {
      if (connection.state !== 'running' || connection.refusing) continue;
      const readMs = nowMs - connection.refusedMs(nowMs);
      for (const channel of connection.channels.all()) {
        if (channel.open && this.#isLate(channel, readMs)) this.#end(connection, channel);
      }
    }
  }

  #isLate(channel: Channel, nowMs: number): boolean {
    const { oldest, next } = channel.session.ledger;
    let marks = this.#marks.get(channel);
    if (oldest === 0) {
      if (marks !== undefined) this.#marks.delete(channel);
      return false;
    }
    if (marks === undefined) {
      marks = [];
      this.#marks.set(channel, marks);
    }
    while (marks.length > 0 && marks[0]!.below <= oldest) marks.shift();
    if (marks.length > 0 && nowMs - marks[0]!.atMs >= this.#timeoutMs) return true;
    if (marks.at(-1)?.below !== next) marks.push({ below: next, atMs: nowMs });
    return false;
  }

  #end(connection: Connection, channel: Channel): void {
    const text =
      `delivery acknowledgement on channel ${channel.number} timed out. ` +
      `Timeout value used: ${this.#timeoutMs} ms. This timeout value can be configured: --consumer-timeout`;
    connection.methodFailed(channel, 0, new ChannelError('PRECONDITION_FAILED', text));
  }
}
