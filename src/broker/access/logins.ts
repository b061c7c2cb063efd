/**
 * Whether a password is that of a user. Deriving a key takes tens of milliseconds of a thread of the pool, which the journal needs
 * too: so only few are derived at once, and what was found out is remembered under a keyed hash, in memory alone. A thousand
 * clients that come back after a restart cost one derivation a user; whoever guesses waits for each guess, and addresses take turns, so
 * that guessing from one keeps nobody out who comes from another.
 */
import { hash as digestOf, randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { guestHash, guestPassword, isPassword, unknownHash } from './password-hash.ts';
import type { User } from './user.ts';

/** At once. */
const mostDerivations = Math.max(1, Math.min(2, availableParallelism() - 1));
/** Different passwords that wait for their turn; beyond it a login is refused. */
const mostWaiting = 10_000;
/** Wrong ones that are remembered, so that a client with an old password, which tries for ever, costs little. */
const mostWrong = 1_000;

interface Check {
  readonly digest: string;
  readonly password: string;
  readonly hash: string;
  readonly waiters: Waiter[];
}

/** Who asks. */
export interface Peer {
  /** Of the network; absent: all such are one. */
  readonly address?: string;
  /** False: it has gone, and nothing needs to be found out. */
  readonly isThere?: () => boolean;
}

interface Waiter {
  readonly isThere: () => boolean;
  readonly resolve: (isRight: boolean) => void;
}

export class Logins {
  readonly #log: (line: string) => void;
  readonly #key = randomBytes(32).toString('base64');
  readonly #unknown = unknownHash();
  /** The right one of each user that has logged in; its hash is in the digest, so another password makes it void. */
  readonly #right = new WeakMap<User, string>();
  readonly #wrong = new Set<string>();
  readonly #checks = new Map<string, Check>();
  /** By address; the one whose turn it is first. */
  readonly #waiting = new Map<string, Check[]>();
  #waitingCount = 0;
  #running = 0;

  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /** `user` undefined: there is none of this name, which takes as long to find out as that a password is wrong. */
  isRight(name: string, user: User | undefined, password: string, peer: Peer): boolean | Promise<boolean> {
    const hash = user?.hash ?? this.#unknown;
    // No secret, and what most devices on this machine come with.
    if (hash === guestHash && password === guestPassword) return true;
    const digest = this.#digest(name, hash, password);
    if (user !== undefined && this.#right.get(user) === digest) return true;
    if (this.#wrong.has(digest)) return false;
    return this.#join(digest, password, hash, peer).then((isRight) => {
      if (user === undefined || user.deleted || user.hash !== hash || !isRight) return false;
      this.#right.set(user, digest);
      return true;
    });
  }

  #join(digest: string, password: string, hash: string, peer: Peer): Promise<boolean> {
    const { address = '', isThere = () => true } = peer;
    return new Promise((resolve) => {
      const waiter = { isThere, resolve };
      const known = this.#checks.get(digest);
      if (known !== undefined) {
        known.waiters.push(waiter);
      } else if (this.#waitingCount >= mostWaiting) {
        resolve(false);
      } else {
        const check = { digest, password, hash, waiters: [waiter] };
        this.#checks.set(digest, check);
        const others = this.#waiting.get(address);
        if (others === undefined) this.#waiting.set(address, [check]);
        else others.push(check);
        this.#waitingCount += 1;
        this.#next();
      }
    });
  }

  #next(): void {
    while (this.#running < mostDerivations) {
      const check = this.#takeTurn();
      if (check === undefined) return;
      if (!check.waiters.some(({ isThere }) => isThere())) {
        this.#end(check, false);
        continue;
      }
      this.#running += 1;
      isPassword(check.password, check.hash)
        .catch((error: unknown) => {
          this.#log(`could not look at a password: ${String(error)}`);
          return false;
        })
        .then((isRight) => {
          this.#running -= 1;
          if (!isRight) this.#rememberWrong(check.digest);
          this.#end(check, isRight);
          this.#next();
        })
        .catch((error: unknown) => this.#log(`a login failed: ${String(error)}`));
    }
  }

  #takeTurn(): Check | undefined {
    for (const [address, checks] of this.#waiting) {
      this.#waiting.delete(address);
      const check = checks.shift();
      if (check === undefined) continue;
      // Behind all others.
      if (checks.length > 0) this.#waiting.set(address, checks);
      this.#waitingCount -= 1;
      return check;
    }
    return undefined;
  }

  #end(check: Check, isRight: boolean): void {
    this.#checks.delete(check.digest);
    for (const { resolve } of check.waiters) resolve(isRight);
  }

  #rememberWrong(digest: string): void {
    this.#wrong.add(digest);
    if (this.#wrong.size <= mostWrong) return;
    for (const oldest of this.#wrong) {
      this.#wrong.delete(oldest);
      return;
    }
  }

  #digest(name: string, hash: string, password: string): string {
    return digestOf('sha256', `${this.#key}${name.length}:${name}${hash}${password}`, 'base64');
  }
}
