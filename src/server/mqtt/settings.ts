/** What an operator can set of the MQTT server. Sizes in bytes, times in milliseconds unless a name says otherwise. */
export interface MqttSettings {
  /** Of clients whose user name names none (`vhost:user`). */
  readonly vhost: string;
  /** Until a CONNECT is let in, its login among it; as long again for the request of a WebSocket. */
  readonly connectTimeoutMs: number;
  /** Largest CONNECT. Nobody who has not logged in makes the server keep more. */
  readonly maxConnectBytes: number;
  /** Largest packet, announced to clients of 5.0. */
  readonly maxPacketBytes: number;
  readonly maxTopicBytes: number;
  readonly maxTopicLevels: number;
  /** QoS 1 and 2 messages that a client may have under way to the server, announced to clients of 5.0. */
  readonly receiveMaximum: number;
  /** QoS 1 and 2 messages under way to a client, whatever more it allows; 16,383 at most. */
  readonly maxInFlight: number;
  /** Topic aliases that a client may make, announced to it. */
  readonly maxTopicAliases: number;
  /** Topic aliases that the server makes for a client which allows as many. */
  readonly maxTopicAliasesOut: number;
  /** Longest keep-alive; a client of 5.0 that wants a longer one, or none, is told this one. 65,535 leaves it to clients. */
  readonly maxKeepAliveSeconds: number;
  /** What waits for a session that ends with its connection: the oldest gives way. */
  readonly maxTransientMessages: number;
  readonly maxTransientBytes: number;
  /** How long a peer that broke the protocol, or whose connection ends, may take to see it. */
  readonly silentCloseDelayMs: number;
  readonly maxConnections: number;
  /** Of these, what one user may have: others find room as well. Default: three quarters of them. */
  readonly maxConnectionsPerUser: number;
  /** Connected or not. */
  readonly maxSessions: number;
  /** What one user may have in a vhost. Default: three quarters of `maxSessions`. */
  readonly maxSessionsPerUser: number;
  /** Longest that a session outlives its connection, in seconds; 4,294,967,295: for ever. */
  readonly maxSessionExpirySeconds: number;
  /** Of these, how many may not have logged in; no more than a quarter of `maxConnections`. */
  readonly maxHandshakes: number;
  /** Bytes that a client did not take yet; beyond it its deliveries stop, and at twice as much reading from it. */
  readonly maxUnsentBytes: number;
  /** The same of all clients together; beyond it each may have 64 KiB as long as it lasts. */
  readonly maxUnsentBytesOfAll: number;
  /** While memory is short, or all together have more than they may: how long a client may take less than 64 KiB of what it has too much. */
  readonly frozenAfterMs: number;
}

export const defaultMqttSettings: MqttSettings = {
  vhost: '/',
  connectTimeoutMs: 10_000,
  maxConnectBytes: 16 * 1024,
  maxPacketBytes: 16 * 1024 * 1024,
  maxTopicBytes: 65_535,
  maxTopicLevels: 200,
  receiveMaximum: 1_000,
  maxInFlight: 4_000,
  maxTopicAliases: 64,
  maxTopicAliasesOut: 64,
  maxKeepAliveSeconds: 65_535,
  maxTransientMessages: 100_000,
  maxTransientBytes: 64 * 1024 * 1024,
  silentCloseDelayMs: 3_000,
  maxConnections: 65_536,
  maxConnectionsPerUser: 49_152,
  maxSessions: 1_000_000,
  maxSessionsPerUser: 750_000,
  maxSessionExpirySeconds: 0xffff_ffff,
  maxHandshakes: 4_096,
  maxUnsentBytes: 1024 * 1024,
  maxUnsentBytesOfAll: 128 * 1024 * 1024,
  frozenAfterMs: 60_000,
};

/** With the defaults of what is not given, some of which follow what is. */
export function mqttSettings(given: Partial<MqttSettings> = {}): MqttSettings {
  const settings = { ...defaultMqttSettings, ...given };
  return {
    ...settings,
    maxConnectionsPerUser: given.maxConnectionsPerUser ?? partOf(settings.maxConnections),
    maxSessionsPerUser: given.maxSessionsPerUser ?? partOf(settings.maxSessions),
  };
}

/** Somebody else finds room. */
function partOf(most: number): number {
  return Math.ceil(most * 0.75);
}
