/** What a start finds of subscribers, made whole again. */
import type { KeyedValue, QueueSpec, TopologyChange } from '../../engine/engine.ts';
import { readQueueKey } from '../topology-entry.ts';
import type { Vhost } from '../vhost.ts';
import type { MailboxOwner } from './mailbox.ts';
import { readName } from './mailbox.ts';
import type { Subscriber } from './subscriber.ts';
import { readSubscriberKey, readSubscription, type SubscriberAddress } from './subscription-state.ts';

export interface Found {
  /** Under `subscriberPrefix` and `subscriptionPrefix`. */
  readonly subscribers: readonly KeyedValue[];
  readonly subscriptions: readonly KeyedValue[];
  readonly queues: readonly QueueSpec[];
}

/** What a crash left without its other half, and has to go. */
export interface Orphans {
  readonly keys: readonly string[];
  readonly changes: readonly TopologyChange[];
}

export function restoreSubscribers(vhosts: ReadonlyMap<string, Vhost>, found: Found): Orphans {
  const keys: string[] = [];
  const subscriberOf = ({ vhost, user, clientId }: SubscriberAddress): Subscriber | undefined =>
    vhosts.get(vhost)?.subscribers.find(user, clientId);
  for (const { key } of found.subscribers) {
    const { of, name } = readSubscriberKey(key);
    if (name === '') vhosts.get(of.vhost)?.subscribers.add(of.user, of.clientId, { durable: true });
  }
  for (const { key, value } of found.subscribers) {
    const { of, name } = readSubscriberKey(key);
    const subscriber = subscriberOf(of);
    if (subscriber === undefined) keys.push(key);
    else {
      subscriber.stateKey(name);
      if (name !== '') subscriber.keepRecord(name, value);
    }
  }
  for (const { key, value } of found.subscriptions) {
    const { of, request } = readSubscription(key, value);
    const subscriber = subscriberOf(of);
    if (subscriber === undefined) keys.push(key);
    else vhosts.get(of.vhost)!.subscribers.put(subscriber, request);
  }
  return { keys, changes: restoreMailboxes(vhosts, found.queues) };
}

/** Those that are wanted were found by their subscriptions already, but for one that nothing subscribed leads to any more: it may still hold messages. */
function restoreMailboxes(vhosts: ReadonlyMap<string, Vhost>, queues: readonly QueueSpec[]): TopologyChange[] {
  const orphans: TopologyChange[] = [];
  for (const { key } of queues) {
    const { vhost: vhostName, name, mailbox } = readQueueKey(key);
    if (!mailbox) continue;
    const vhost = vhosts.get(vhostName);
    if (vhost === undefined || !isWanted(vhost, readName(name))) orphans.push({ op: 'delete-queue', key });
  }
  return orphans;
}

function isWanted({ subscribers, graph }: Vhost, of: MailboxOwner): boolean {
  if (of.kind === 'delayed') return false;
  if (of.kind === 'group') return graph.subscriptions.group(of.share, of.filter) !== undefined;
  const subscriber = subscribers.find(of.user, of.clientId);
  if (subscriber !== undefined) subscribers.adopt(subscriber);
  return subscriber !== undefined;
}
