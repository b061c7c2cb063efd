/**
 * The options of a subscription, as SUBSCRIBE of 5.0 has them (§3.8.3.1); the broker keeps them without reading them.
 *
 *   retain handling:2 << 4   retain as published:1 << 3   no local:1 << 2   QoS:2
 */
import type { Qos } from '../../wire/mqtt/packet-type.ts';
import type { SubscriptionRequest } from '../../wire/mqtt/subscribe-packet.ts';

/** When retained messages are sent. */
export const retainHandling = { always: 0, ifNew: 1, never: 2 } as const;

export function optionsOf(asked: SubscriptionRequest): number {
  const flags = (asked.noLocal ? 4 : 0) | (asked.retainAsPublished ? 8 : 0);
  return asked.qos | flags | (asked.retainHandling << 4);
}

export function qosOf(options: number): Qos {
  return (options & 3) as Qos;
}

export function retainAsPublished(options: number): boolean {
  return (options & 8) !== 0;
}

export function retainHandlingOf(options: number): number {
  return (options >>> 4) & 3;
}
