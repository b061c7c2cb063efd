import type { Serializer } from '../api/serializer.ts';

/** Payloads as the bytes that they are: a verb must not fail, let alone dead-letter a message, over what it merely passes on. */
export function rawBytes(contentType = 'application/octet-stream'): Serializer<Uint8Array> {
  return { contentType, serialize: (bytes) => bytes, deserialize: (bytes) => bytes };
}

/** The queue as it stands: nothing is declared, and no dead-letter queue supposed. */
export function asItStands(contentType?: string) {
  return { declare: false, deadLetter: false, serializer: rawBytes(contentType) } as const;
}
