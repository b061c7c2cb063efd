import { totalmem } from 'node:os';

export interface BrokerSettings {
  /** Resident bytes above which publishers are blocked. Default: 0.6 of the machine's memory. */
  readonly memoryWatermarkBytes: number;
  /** How often resident memory is looked at. */
  readonly memorySampleMs: number;
  /** Routes kept a vhost; beyond that the cache starts anew. */
  readonly maxCachedRoutes: number;
}

export function brokerSettings(given: Partial<BrokerSettings> = {}): BrokerSettings {
  return {
    memoryWatermarkBytes: Math.floor(totalmem() * 0.6),
    memorySampleMs: 1000,
    maxCachedRoutes: 65_536,
    ...given,
  };
}
