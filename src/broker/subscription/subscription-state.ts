/** How subscribers and their subscriptions stand in the engine's keyed state; see subscribers.ts. */
import { joinKey } from '../binding.ts';
import { splitKey } from './mailbox.ts';
import { subscriberPrefix } from './subscriber.ts';
import type { SubscriptionRequest } from './subscription.ts';

export { subscriberPrefix };
export const subscriptionPrefix = 'subscription/';

export interface SubscriberAddress {
  readonly vhost: string;
  readonly user: string;
  readonly clientId: string;
}

export function subscriptionKey(vhost: string, user: string, clientId: string, request: SubscriptionRequest): string {
  return subscriptionPrefix + joinKey([vhost, user, clientId, request.share ?? '', request.filter]);
}

export function subscriptionValue({ queued, noLocal, options, identifier }: SubscriptionRequest): Buffer {
  return Buffer.from(JSON.stringify({ queued, noLocal, options, identifier }));
}

export function readSubscription(
  key: string,
  value: Uint8Array,
): { readonly of: SubscriberAddress; readonly request: SubscriptionRequest } {
  const [vhost = '', user = '', clientId = '', share = '', filter = ''] = splitKey(key, subscriptionPrefix.length);
  const kept = JSON.parse(Buffer.from(value).toString()) as Record<string, unknown>;
  const request: SubscriptionRequest = {
    filter,
    share: share === '' ? null : share,
    queued: kept['queued'] === true,
    noLocal: kept['noLocal'] === true,
    options: Number(kept['options']),
    identifier: Number(kept['identifier']),
  };
  return { of: { vhost, user, clientId }, request };
}

/** `name`: of the record; empty: that the subscriber exists. */
export function readSubscriberKey(key: string): { readonly of: SubscriberAddress; readonly name: string } {
  const parts = splitKey(key, subscriberPrefix.length, 3);
  const [vhost = '', user = '', clientId = ''] = parts;
  return { of: { vhost, user, clientId }, name: key.slice(subscriberPrefix.length + joinKey(parts).length + 1) };
}

/**
 * About how much memory a subscription takes: nodes of the trie, and the filter a few times. A shared one that is its group's only member brings
 * the group and its mailbox, which both have its name.
 */
export function subscriptionBytes({ filter, share }: Pick<SubscriptionRequest, 'filter' | 'share'>): number {
  const own = 400 + 200 * filter.split('/').length + 4 * filter.length;
  return share === null ? own : own + 2_000 + 8 * share.length + 4 * filter.length;
}
