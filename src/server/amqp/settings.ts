/** What an operator can set of the AMQP server. Sizes in bytes, times in milliseconds; the defaults are RabbitMQ's where it has one. */
export interface AmqpSettings {
  /** Highest channel number, and how many channels one connection may hold. */
  readonly channelMax: number;
  /** Largest frame, its 8 bytes of overhead included. */
  readonly frameMaxBytes: number;
  /** Proposed to clients; the client decides. */
  readonly heartbeatSeconds: number;
  /** For everything from accept to connection.open. */
  readonly handshakeTimeoutMs: number;
  /** How long a peer that broke the protocol, or failed to log in, waits for its connection to end. */
  readonly silentCloseDelayMs: number;
  /** How long the server waits for close-ok. */
  readonly closeTimeoutMs: number;
  /** Largest body of one message. */
  readonly maxMessageBytes: number;
  /** All messages of one connection that are still coming in, with properties: four of the largest at once, and some. */
  readonly maxPartialBytes: number;
  readonly maxConsumersPerChannel: number;
  readonly maxConsumersPerConnection: number;
  readonly maxConnections: number;
  /** Of these, how many may be at their handshake; no more than a quarter of `maxConnections`. */
  readonly maxHandshakes: number;
  /** Frames kept for channels that wait for an earlier method; beyond it the connection stops reading. */
  readonly maxKeptBytes: number;
  /** Bytes that a client did not take yet; beyond it its consumers stop, and at twice as much reading from it. */
  readonly maxUnsentBytes: number;
  /** The same of all clients together; beyond it each may have 64 KiB as long as it lasts, and a message over 128 KiB waits where it would be twice as much. */
  readonly maxUnsentBytesOfAll: number;
  /** While memory is short, or all together have more than they may: how long a client may take less than 64 KiB of what it has too much. */
  readonly frozenAfterMs: number;
  /** How long a delivery may stay unacknowledged; then its channel is closed. 0: for ever. */
  readonly consumerTimeoutMs: number;
  /** How often deliveries are looked at for it at most, however short a time a consumer or a queue asks for. */
  readonly shortestAckPeriodMs: number;
}

export const defaultAmqpSettings: AmqpSettings = {
  channelMax: 2047,
  frameMaxBytes: 131_072,
  heartbeatSeconds: 60,
  handshakeTimeoutMs: 10_000,
  silentCloseDelayMs: 3_000,
  closeTimeoutMs: 30_000,
  maxMessageBytes: 16 * 1024 * 1024,
  maxPartialBytes: 80 * 1024 * 1024,
  maxConsumersPerChannel: 10_000,
  maxConsumersPerConnection: 20_000,
  maxConnections: 65_536,
  maxHandshakes: 4_096,
  maxKeptBytes: 1024 * 1024,
  maxUnsentBytes: 1024 * 1024,
  maxUnsentBytesOfAll: 128 * 1024 * 1024,
  frozenAfterMs: 60_000,
  consumerTimeoutMs: 1_800_000,
  shortestAckPeriodMs: 1_000,
};
