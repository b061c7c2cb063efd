import { totalmem } from 'node:os';

export interface BrokerSettings {
  /** Resident bytes above which publishers are blocked. Default: 0.6 of the machine's memory. */
  readonly memoryWatermarkBytes: number;
  /** How often resident memory is looked at. */
  readonly memorySampleMs: number;
  /** Routes kept a vhost; beyond that the cache starts anew. */
  readonly maxCachedRoutes: number;
  /** And about how many bytes they may take: a route to a thousand queues takes as much as fifty to one. */
  readonly maxCachedRouteBytes: number;
  /** A route that was looked for longer than this lets others go before the next publish of its channel. */
  readonly longSearchMs: number;
  /** What a vhost may have of each. All of it is held in memory; what was there at a start stays, however much it is. */
  readonly maxQueues: number;
  readonly maxExchanges: number;
  readonly maxBindings: number;
  /** Of the arguments of all of these together: about how much memory they may take. */
  readonly maxArgumentBytes: number;
  /** The exchange whose topics clients subscribe to, of each vhost. */
  readonly mqttExchange: string;
  readonly maxTopicLevels: number;
  /** Subscriptions of a vhost, and about how much memory they may take. */
  readonly maxSubscriptions: number;
  readonly maxSubscriptionBytes: number;
  /** Of these, what one subscriber may have. */
  readonly maxSubscriptionsEach: number;
  /** What waits for a subscriber whose session ends with its connection; beyond it the oldest go. */
  readonly maxMailboxLength: number;
  readonly maxMailboxBytes: number;
  /** Retained messages of a vhost, and about how much memory they may take; beyond it no topic gets its first. */
  readonly maxRetained: number;
  readonly maxRetainedBytes: number;
  /** What one open transaction may keep of what is published in it; beyond it the transaction is refused. */
  readonly maxTransactionBytes: number;
  /** The same of all together. */
  readonly maxTransactionBytesOfAll: number;
}

/** What the machine has, or the container may take of it; `most` is 0, or more than there is, where nothing limits it. */
export function memoryBytes(ofMachine: number, most: number): number {
  return most > 0 ? Math.min(ofMachine, most) : ofMachine;
}

export function brokerSettings(given: Partial<BrokerSettings> = {}): BrokerSettings {
  return {
    memoryWatermarkBytes: Math.floor(memoryBytes(totalmem(), process.constrainedMemory()) * 0.6),
    memorySampleMs: 1000,
    maxCachedRoutes: 65_536,
    maxCachedRouteBytes: 64 * 1024 * 1024,
    longSearchMs: 2,
    maxQueues: 200_000,
    maxExchanges: 100_000,
    maxBindings: 1_000_000,
    maxArgumentBytes: 256 * 1024 * 1024,
    mqttExchange: 'amq.topic',
    maxTopicLevels: 200,
    maxSubscriptions: 1_000_000,
    maxSubscriptionBytes: 256 * 1024 * 1024,
    maxSubscriptionsEach: 50_000,
    maxMailboxLength: 100_000,
    maxMailboxBytes: 64 * 1024 * 1024,
    maxRetained: 500_000,
    maxRetainedBytes: 256 * 1024 * 1024,
    maxTransactionBytes: 128 * 1024 * 1024,
    maxTransactionBytesOfAll: 256 * 1024 * 1024,
    ...given,
  };
}
