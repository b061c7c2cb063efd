/** Who may log in, and what each may do where. All of it is durable, and in memory. */
import type { Engine, Topology, TopologyChange } from '../../engine/engine.ts';
import { BrokerError } from '../broker-error.ts';
import { administratorTag } from '../principal.ts';
import { entryKind } from '../topology-entry.ts';
import { Logins, type Peer } from './logins.ts';
import { guestHash, hashPassword } from './password-hash.ts';
import {
  patternsOf,
  permissionEntry,
  permissionKey,
  readPermission,
  readUser,
  textsOf,
  User,
  userEntry,
  type PermissionTexts,
} from './user.ts';

/** The one that every broker begins with, and that only this machine may use. */
const guestName = 'guest';
const longestPasswordBytes = 1_024;
const mostTags = 32;

export interface UserTraits {
  readonly user: string;
  readonly tags: readonly string[];
}

export interface PermissionTraits extends PermissionTexts {
  readonly user: string;
  readonly vhost: string;
}

/** Absent: as it was. */
export interface UserChange {
  readonly password?: string | undefined;
  readonly tags?: readonly string[] | undefined;
}

export interface UserListener {
  userDeleted(user: User): void;
  /** What is kept of its permissions in this vhost is void. */
  permissionsChanged(user: User, vhost: string): void;
}

export class Users {
  readonly #engine: Engine;
  readonly #logins: Logins;
  readonly #users = new Map<string, User>();
  readonly #listener: UserListener;
  /** Changes are made one after another. */
  #latest: Promise<unknown> = Promise.resolve();

  constructor(engine: Engine, log: (line: string) => void, listener: UserListener) {
    this.#engine = engine;
    this.#logins = new Logins(log);
    this.#listener = listener;
  }

  /** Answers what a broker that never had users begins with. */
  restore({ entries }: Topology, defaultVhost: string): TopologyChange[] {
    for (const { kind, value } of entries) {
      if (kind !== entryKind.user) continue;
      const user = readUser(value);
      this.#add(user);
    }
    for (const { kind, value } of entries) {
      if (kind !== entryKind.permission) continue;
      const { user, vhost, ...texts } = readPermission(value);
      this.#users.get(user)?.patterns.set(vhost, patternsOf(texts));
    }
    // Once it was made it may be deleted, and must not come back.
    if (entries.some(({ kind, key }) => kind === entryKind.made && key === guestName)) return [];
    const all = { configure: '.*', write: '.*', read: '.*' };
    const user = new User(guestName, guestHash, [administratorTag]);
    user.patterns.set(defaultVhost, patternsOf(all));
    this.#add(user);
    return [
      { op: 'put', entry: { kind: entryKind.made, key: guestName, durable: true, value: {} } },
      { op: 'put', entry: userEntry(user) },
      { op: 'put', entry: permissionEntry(guestName, defaultVhost, all) },
    ];
  }

  get(name: string): User | undefined {
    return this.#users.get(name);
  }

  list(): UserTraits[] {
    return byName(this.#users.values()).map(({ user, tags }) => ({ user, tags }));
  }

  listPermissions(): PermissionTraits[] {
    return byName(this.#users.values()).flatMap((user) =>
      Array.from(user.patterns, ([vhost, patterns]) => ({ user: user.user, vhost, ...textsOf(patterns) })),
    );
  }

  /** Null: refused. A user whose password was right before is answered at once. */
  authenticate(
    name: string,
    password: string,
    peer: Peer & { readonly loopback: boolean },
  ): User | null | Promise<User | null> {
    const user = this.#users.get(name);
    const answer = (isRight: boolean): User | null =>
      isRight && user?.deleted === false && (peer.loopback || name !== guestName) ? user : null;
    const isRight = this.#logins.isRight(name, user, password, peer);
    return typeof isRight === 'boolean' ? answer(isRight) : isRight.then(answer);
  }

  /** Makes a user, or changes one. True: it is new. @throws BrokerError PRECONDITION_FAILED, NOT_FOUND */
  async put(name: string, { password, tags }: UserChange, kind: 'new' | 'known'): Promise<void> {
    requireName('user', name);
    if (tags !== undefined) requireTags(tags);
    if (password !== undefined) requirePassword(password);
    await this.#inTurn(async () => {
      const known = this.#users.get(name);
      if (kind === 'known' && known === undefined) throw noUser(name);
      if (kind === 'new' && known !== undefined) {
        throw new BrokerError('PRECONDITION_FAILED', `user '${name}' exists already`);
      }
      if (known === undefined && password === undefined) {
        throw new BrokerError('PRECONDITION_FAILED', `user '${name}' needs a password`);
      }
      const hash = password === undefined ? known!.hash : await hashPassword(password);
      const user = known ?? new User(name, hash, []);
      const changed = { user: name, hash, tags: tags ?? user.tags };
      await this.#change([{ op: 'put', entry: userEntry(changed) }]);
      user.hash = hash;
      user.tags = changed.tags;
      this.#users.set(name, user);
    });
  }

  /** Its connections are closed. @throws BrokerError NOT_FOUND */
  async delete(name: string): Promise<void> {
    await this.#inTurn(async () => {
      const user = this.require(name);
      const permissions = Array.from(user.patterns.keys(), (vhost) => this.#deletePermission(name, vhost));
      await this.#change([{ op: 'delete', kind: entryKind.user, key: name }, ...permissions]);
      this.#users.delete(name);
      user.deleted = true;
      user.permissions += 1;
      for (const vhost of user.patterns.keys()) this.#listener.permissionsChanged(user, vhost);
      this.#listener.userDeleted(user);
    });
  }

  /** `hasVhost` is asked once it is this change's turn. @throws BrokerError PRECONDITION_FAILED, NOT_FOUND */
  async setPermissions(name: string, vhost: string, texts: PermissionTexts, hasVhost: () => boolean): Promise<void> {
    const patterns = patternsOf(texts);
    await this.#inTurn(async () => {
      const user = this.require(name);
      if (!hasVhost()) throw noVhost(vhost);
      await this.#change([{ op: 'put', entry: permissionEntry(name, vhost, texts) }]);
      user.patterns.set(vhost, patterns);
      this.#permissionsChanged(user, vhost);
    });
  }

  /** @throws BrokerError NOT_FOUND */
  async clearPermissions(name: string, vhost: string): Promise<void> {
    await this.#inTurn(async () => {
      const user = this.require(name);
      if (!user.patterns.has(vhost)) {
        throw new BrokerError('NOT_FOUND', `user '${name}' has no permissions in vhost '${vhost}'`);
      }
      await this.#change([this.#deletePermission(name, vhost)]);
      user.patterns.delete(vhost);
      this.#permissionsChanged(user, vhost);
    });
  }

  /** The vhost goes: so does what anybody was permitted there. `change` makes both durable together. */
  forgetVhost(vhost: string, change: (changes: TopologyChange[]) => Promise<void>): Promise<void> {
    return this.#inTurn(async () => {
      const users = Array.from(this.#users.values()).filter(({ patterns }) => patterns.has(vhost));
      await change(users.map(({ user }) => this.#deletePermission(user, vhost)));
      for (const user of users) {
        user.patterns.delete(vhost);
        user.permissions += 1;
      }
    });
  }

  /** @throws BrokerError NOT_FOUND */
  require(name: string): User {
    const user = this.#users.get(name);
    if (user === undefined) throw noUser(name);
    return user;
  }

  #add(user: User): void {
    this.#users.set(user.user, user);
    if (user.hash === guestHash) this.#logins.know(user, guestName);
  }

  #permissionsChanged(user: User, vhost: string): void {
    user.permissions += 1;
    this.#listener.permissionsChanged(user, vhost);
  }

  #deletePermission(user: string, vhost: string): TopologyChange {
    return { op: 'delete', kind: entryKind.permission, key: permissionKey(user, vhost) };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#latest.then(work);
    this.#latest = done.catch(() => undefined);
    return done;
  }

  async #change(changes: readonly TopologyChange[]): Promise<void> {
    await this.#engine.change(changes);
  }
}

/** @throws BrokerError PRECONDITION_FAILED for a name that AMQP can't carry, or that a log would break on */
export function requireName(what: 'user' | 'vhost', name: string): void {
  if (name !== '' && Buffer.byteLength(name) <= 255 && !/[\p{Cc}\p{Cs}\ufffd]/u.test(name)) return;
  throw new BrokerError(
    'PRECONDITION_FAILED',
    `the name of a ${what} must have 1 to 255 bytes and no control character, not ${JSON.stringify(name.slice(0, 300))}`,
  );
}

export function noVhost(name: string): BrokerError {
  return new BrokerError('NOT_FOUND', `no vhost '${name}'`);
}

function noUser(name: string): BrokerError {
  return new BrokerError('NOT_FOUND', `no user '${name}'`);
}

function requirePassword(password: string): void {
  if (password !== '' && Buffer.byteLength(password) <= longestPasswordBytes && !/[\0\p{Cs}\ufffd]/u.test(password))
    return;
  throw new BrokerError(
    'PRECONDITION_FAILED',
    `a password must have 1 to ${longestPasswordBytes} bytes of UTF-8, and no zero among them`,
  );
}

function requireTags(tags: readonly string[]): void {
  if (tags.length <= mostTags && tags.every((tag) => /^[\w.-]{1,64}$/.test(tag))) return;
  throw new BrokerError(
    'PRECONDITION_FAILED',
    `tags must be at most ${mostTags} words of letters, digits, '.', '_' and '-', such as administrator`,
  );
}

function byName(users: Iterable<User>): User[] {
  return Array.from(users).sort((a, b) => (a.user < b.user ? -1 : 1));
}
