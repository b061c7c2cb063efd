/**
 * Passwords as they are kept: scrypt with a salt of their own.
 *
 *   $scrypt$ln=14,r=8,p=1$SALT$HASH      salt and hash in base64url; N is 2 to the power of ln
 *
 * 2^14 and 8 take 16 MiB and some 40 ms. The parameters stand with each hash, so they can be raised for new ones.
 */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

interface Cost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
  readonly maxmem: number;
}

const logN = 14;
const blockSize = 8;
const saltBytes = 16;
const hashBytes = 32;
const derive = promisify(scrypt) as (password: string, salt: Buffer, size: number, cost: Cost) => Promise<Buffer>;

/** What every broker begins with, and everybody knows. */
export const guestPassword = 'guest';
/** Its hash: a new broker must not spend its start on that. */
export const guestHash = '$scrypt$ln=14,r=8,p=1$EI6fsSSyhyGMddAVCcbTfA$JSgLMiClebJ7AO8vZtcvcS5gqgB6TN4gyZFRaDNY9tI';

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(saltBytes);
  const hash = await derive(password, salt, hashBytes, cost(logN, blockSize, 1));
  return written(salt, hash);
}

/** What no password has: trying one on it takes as long as on another. */
export function unknownHash(): string {
  return written(randomBytes(saltBytes), randomBytes(hashBytes));
}

/** False too for a hash that can't be read. */
export async function isPassword(password: string, stored: string): Promise<boolean> {
  const [, ln, r, p, salt, hash] = /^\$scrypt\$ln=(\d\d?),r=(\d\d?),p=(\d\d?)\$([\w-]+)\$([\w-]+)$/.exec(stored) ?? [];
  if (salt === undefined || hash === undefined) return false;
  const expected = Buffer.from(hash, 'base64url');
  const derived = await derive(
    password,
    Buffer.from(salt, 'base64url'),
    expected.length,
    cost(Number(ln), Number(r), Number(p)),
  );
  return timingSafeEqual(derived, expected);
}

function written(salt: Buffer, hash: Buffer): string {
  return `$scrypt$ln=${logN},r=${blockSize},p=1$${salt.toString('base64url')}$${hash.toString('base64url')}`;
}

function cost(ln: number, r: number, p: number): Cost {
  const N = 2 ** ln;
  return { N, r, p, maxmem: 2 * 128 * r * (N + p) };
}
