import { hash } from 'node:crypto';

/** The hash of a body as histories carry it: 64 bits of SHA-256, enough to tell any wrong byte. */
export function bodyHash(body: Uint8Array | string): string {
  return hash('sha256', body, 'hex').slice(0, 16);
}
