/** Who may log in, and what each may do where. All of it is durable, and in memory. */
import type { Engine, Topology, TopologyChange } from '../../engine/engine.ts';
import { BrokerError } from '../broker-error.ts';
import { administratorTag } from '../principal.ts';
import { entryKind } from '../topology-entry.ts';
import { Logins, type Peer } from './logins.ts';
import { guestHash, hashPassword } from './password-hash.ts';
import { TopicPermission } from './topic-permission.ts';
import {
  patternsOf,
  permissionEntry,
  permissionKey,
  readPermission,
  readTopicPermission,
  readUser,
  textsOf,
  topicPermissionEntry,
  topicPermissionKey,
  User,
  userEntry,
  type PermissionTexts,
  type TopicTraits,
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
      this.#users.set(user.user, user);
    }
    for (const { kind, value } of entries) {
      if (kind !== entryKind.permission) continue;
      const { user, vhost, ...texts } = readPermission(value);
      this.#users.get(user)?.patterns.set(vhost, patternsOf(texts));
    }
    for (const { kind, value } of entries) {
      if (kind !== entryKind.topicPermission) continue;
      const { user, vhost, exchange, ...texts } = readTopicPermission(value);
      this.#users.get(user)?.setTopics(vhost, exchange, new TopicPermission(texts));
    }
    // Once it was made it may be deleted, and must not come back.
    if (entries.some(({ kind, key }) => kind === entryKind.made && key === guestName)) return [];
    const all = { configure: '.*', write: '.*', read: '.*' };
    const user = new User(guestName, guestHash, [administratorTag]);
    user.patterns.set(defaultVhost, patternsOf(all));
    this.#users.set(user.user, user);
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

  listTopicPermissions(): TopicTraits[] {
    const listed: TopicTraits[] = [];
    for (const { user, topics } of byName(this.#users.values())) {
      for (const [vhost, exchanges] of topics) {
        for (const [exchange, { texts }] of exchanges) listed.push({ user, vhost, exchange, ...texts });
      }
    }
    return listed;
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
      const topics = topicChanges(user);
      await this.#change([{ op: 'delete', kind: entryKind.user, key: name }, ...permissions, ...topics]);
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

  /** Whether there is such an exchange is not asked. @throws BrokerError PRECONDITION_FAILED, NOT_FOUND */
  async setTopicPermissions(
    { user: name, vhost, exchange, ...texts }: TopicTraits,
    hasVhost: () => boolean,
  ): Promise<void> {
    requireName('exchange', exchange);
    const permission = new TopicPermission(texts);
    await this.#inTurn(async () => {
      const user = this.require(name);
      if (!hasVhost()) throw noVhost(vhost);
      await this.#change([{ op: 'put', entry: topicPermissionEntry(name, vhost, exchange, texts) }]);
      user.setTopics(vhost, exchange, permission);
      this.#permissionsChanged(user, vhost);
    });
  }

  /** `exchange` undefined: those of all exchanges of the vhost. @throws BrokerError NOT_FOUND */
  async clearTopicPermissions(name: string, vhost: string, exchange: string | undefined): Promise<void> {
    await this.#inTurn(async () => {
      const user = this.require(name);
      const known = Array.from(user.topics.get(vhost)?.keys() ?? []);
      const gone = exchange === undefined ? known : known.filter((each) => each === exchange);
      if (gone.length === 0) {
        const where = exchange === undefined ? '' : ` for exchange '${exchange}'`;
        throw new BrokerError('NOT_FOUND', `user '${name}' has no topic permissions${where} in vhost '${vhost}'`);
      }
      await this.#change(gone.map((each) => deleteTopics(name, vhost, each)));
      for (const each of gone) user.clearTopics(vhost, each);
      this.#permissionsChanged(user, vhost);
    });
  }

  /** The vhost goes: so does what anybody was permitted there. `change` makes both durable together. */
  forgetVhost(vhost: string, change: (changes: TopologyChange[]) => Promise<void>): Promise<void> {
    return this.#inTurn(async () => {
      const users = Array.from(this.#users.values());
      const permitted = users.filter(({ patterns }) => patterns.has(vhost));
      const permissions = permitted.map(({ user }) => this.#deletePermission(user, vhost));
      await change([...permissions, ...users.flatMap((user) => topicChanges(user, vhost))]);
      for (const user of users) {
        const changed = user.topics.delete(vhost);
        if (user.patterns.delete(vhost) || changed) user.permissions += 1;
      }
    });
  }

  /** @throws BrokerError NOT_FOUND */
  require(name: string): User {
    const user = this.#users.get(name);
    if (user === undefined) throw noUser(name);
    return user;
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
export function requireName(what: 'user' | 'vhost' | 'exchange', name: string): void {
  if (name !== '' && Buffer.byteLength(name) <= 255 && !/[\p{Cc}\p{Cs}\ufffd]/u.test(name)) return;
  throw new BrokerError(
    'PRECONDITION_FAILED',
    `the name of ${what === 'exchange' ? 'an' : 'a'} ${what} must have 1 to 255 bytes and no control character, not ${JSON.stringify(name.slice(0, 300))}`,
  );
}

/** What makes a user's topic permissions go; `vhost` undefined: in all. */
function topicChanges({ user, topics }: User, vhost?: string): TopologyChange[] {
  const changes: TopologyChange[] = [];
  for (const [of, exchanges] of topics) {
    if (vhost !== undefined && of !== vhost) continue;
    for (const exchange of exchanges.keys()) changes.push(deleteTopics(user, of, exchange));
  }
  return changes;
}

function deleteTopics(user: string, vhost: string, exchange: string): TopologyChange {
  return { op: 'delete', kind: entryKind.topicPermission, key: topicPermissionKey(user, vhost, exchange) };
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
