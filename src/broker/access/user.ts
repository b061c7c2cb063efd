import type { Json, TopologyEntry } from '../../engine/engine.ts';
import { joinKey } from '../binding.ts';
import type { Permission, Principal, TopicAccess } from '../principal.ts';
import { entryKind } from '../topology-entry.ts';
import { Pattern } from './pattern.ts';
import type { TopicPermission, TopicTexts } from './topic-permission.ts';

/** What a user may do in one vhost: names that match. */
export type PermissionPatterns = Readonly<Record<Permission, Pattern>>;

/** As they are asked for and told. */
export interface PermissionTexts {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

export class User implements Principal {
  readonly user: string;
  hash: string;
  tags: readonly string[];
  permissions = 1;
  /** No login any more. */
  deleted = false;
  /** By vhost. */
  readonly patterns = new Map<string, PermissionPatterns>();
  /** By vhost, by exchange. */
  readonly topics = new Map<string, Map<string, TopicPermission>>();

  constructor(user: string, hash: string, tags: readonly string[]) {
    this.user = user;
    this.hash = hash;
    this.tags = tags;
  }

  entersVhost(vhost: string): boolean {
    return !this.deleted && this.patterns.has(vhost);
  }

  allows(vhost: string, permission: Permission, resource: string): boolean {
    return !this.deleted && this.patterns.get(vhost)?.[permission].matches(resource) === true;
  }

  limitsTopics(vhost: string, exchange: string): boolean {
    return this.topics.size > 0 && this.topics.get(vhost)?.has(exchange) === true;
  }

  allowsTopic(
    vhost: string,
    exchange: string,
    access: TopicAccess,
    routingKey: string,
    clientId: string | null,
  ): boolean {
    if (this.deleted) return false;
    const permission = this.topics.get(vhost)?.get(exchange);
    return permission === undefined || permission.allows(access, routingKey, { username: this.user, vhost, clientId });
  }

  setTopics(vhost: string, exchange: string, permission: TopicPermission): void {
    const ofVhost = this.topics.get(vhost);
    if (ofVhost === undefined) this.topics.set(vhost, new Map([[exchange, permission]]));
    else ofVhost.set(exchange, permission);
  }

  clearTopics(vhost: string, exchange: string): void {
    const ofVhost = this.topics.get(vhost);
    if (ofVhost?.delete(exchange) === true && ofVhost.size === 0) this.topics.delete(vhost);
  }
}

/** @throws BrokerError PRECONDITION_FAILED */
export function patternsOf({ configure, write, read }: PermissionTexts): PermissionPatterns {
  return { configure: new Pattern(configure), write: new Pattern(write), read: new Pattern(read) };
}

export function textsOf({ configure, write, read }: PermissionPatterns): PermissionTexts {
  return { configure: configure.source, write: write.source, read: read.source };
}

// As the engine keeps them: an entry for each user, one for each vhost of a user, and one for each exchange there whose topics are limited.

export function userEntry({ user, hash, tags }: Pick<User, 'user' | 'hash' | 'tags'>): TopologyEntry {
  return { kind: entryKind.user, key: user, durable: true, value: { name: user, hash, tags: [...tags] } };
}

export function readUser(value: Json): User {
  const { name, hash, tags } = value as { name: string; hash: string; tags: readonly string[] };
  return new User(name, hash, tags);
}

export function permissionKey(user: string, vhost: string): string {
  return joinKey([user, vhost]);
}

export function permissionEntry(user: string, vhost: string, texts: PermissionTexts): TopologyEntry {
  const value = { user, vhost, ...texts };
  return { kind: entryKind.permission, key: permissionKey(user, vhost), durable: true, value };
}

export function readPermission(value: Json): PermissionTexts & { readonly user: string; readonly vhost: string } {
  return value as unknown as PermissionTexts & { readonly user: string; readonly vhost: string };
}

export function topicPermissionKey(user: string, vhost: string, exchange: string): string {
  return joinKey([user, vhost, exchange]);
}

export function topicPermissionEntry(user: string, vhost: string, exchange: string, texts: TopicTexts): TopologyEntry {
  const value = { user, vhost, exchange, ...texts };
  return { kind: entryKind.topicPermission, key: topicPermissionKey(user, vhost, exchange), durable: true, value };
}

export interface TopicTraits extends TopicTexts {
  readonly user: string;
  readonly vhost: string;
  readonly exchange: string;
}

export function readTopicPermission(value: Json): TopicTraits {
  return value as unknown as TopicTraits;
}
