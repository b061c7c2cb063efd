/** What is stored of a session that outlives its connection, beside its subscriptions and packet ids: JSON, version 1. */
import type { Will } from './will.ts';

export interface SessionRecord {
  /** Seconds that it lives on without a connection; `neverExpires`: for ever. */
  readonly expirySeconds: number;
  /** When its connection ended, in milliseconds since the epoch; 0: it has one. */
  readonly offlineAt: number;
  /** Null: none is waiting. */
  readonly will: Will | null;
}

/** [MQTT-3.1.2-23] */
export const neverExpires = 0xffff_ffff;

const version = 1;

export function encodeRecord({ expirySeconds, offlineAt, will }: SessionRecord): Buffer {
  const record = {
    version,
    expirySeconds,
    offlineAt,
    ...(will === null
      ? {}
      : { will: { ...will, properties: will.properties.toString('base64'), body: will.body.toString('base64') } }),
  };
  return Buffer.from(JSON.stringify(record));
}

export function decodeRecord(value: Uint8Array): SessionRecord {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString();
  const record = JSON.parse(text) as Stored;
  if (record.version !== version) throw new Error(`a session of version ${record.version}, known is ${version}`);
  const { expirySeconds, offlineAt, will } = record;
  if (will === undefined) return { expirySeconds, offlineAt, will: null };
  const properties = Buffer.from(will.properties, 'base64');
  return { expirySeconds, offlineAt, will: { ...will, properties, body: Buffer.from(will.body, 'base64') } };
}

interface Stored {
  readonly version: number;
  readonly expirySeconds: number;
  readonly offlineAt: number;
  readonly will?: Omit<Will, 'properties' | 'body'> & { readonly properties: string; readonly body: string };
}
