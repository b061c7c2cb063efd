/** The engine's queue of a subscriber, or of those who share a subscription: a target of routes like any other, to which no AMQP name leads. */
import type { QueueSpec } from '../../engine/engine.ts';
import { joinKey } from '../binding.ts';
import type { BrokerSettings } from '../broker-settings.ts';
import { Queue } from '../queue.ts';
import { effectiveQueueSettings } from '../queue-settings.ts';
import { mailboxKey } from '../topology-entry.ts';

/** Whose it is: a client of a user, the group of a name and a filter, or all of a vhost's who wait for what is delayed without one of their own. */
export type MailboxOwner =
  | { readonly kind: 'client'; readonly user: string; readonly clientId: string }
  | { readonly kind: 'group'; readonly share: string; readonly filter: string }
  | { readonly kind: 'delayed' };

/** All alike: what the engine limits is in `spec`. */
const settings = effectiveQueueSettings({}, 'mailbox');

export class Mailbox extends Queue {
  readonly of: MailboxOwner;

  constructor(vhost: string, of: MailboxOwner, durable: boolean) {
    const name = nameOf(of);
    const traits = { name, vhost, durable, autoDelete: false, arguments: {} };
    super(mailboxKey(vhost, name), traits, settings, null);
    this.of = of;
  }

  override get resource(): string {
    return `${ownerText(this.of)} in vhost '${this.traits.vhost}'`;
  }

  /** One that ends with its connection keeps so much and drops the oldest; one that outlives it keeps all. */
  spec({ maxMailboxLength, maxMailboxBytes }: BrokerSettings): QueueSpec {
    const { key, durable } = this;
    // A PUBLISH that was sent may not expire any more [MQTT-4.3.3-7].
    const limits = {
      deliveredLasts: true,
      ...(durable ? {} : { maxLength: maxMailboxLength, maxBytes: maxMailboxBytes }),
    };
    return { key, durable, limits, value: { vhost: this.traits.vhost, ...this.of } };
  }

  /** Routes lead to it. */
  get takes(): boolean {
    return this.handle !== null && this.handle.damage === null;
  }
}

/** In words, of the name in a mailbox's key. */
export function mailboxText(name: string): string {
  return ownerText(readName(name));
}

export function readName(name: string): MailboxOwner {
  const [first = '', second = '', ...group] = splitKey(name);
  if (group.length === 0) return { kind: 'client', user: first, clientId: second };
  if (group.length === 1) return { kind: 'delayed' };
  return { kind: 'group', share: group[0] ?? '', filter: group[1] ?? '' };
}

/** The parts that `joinKey` joined, from `at` on, `count` of them; and where they end. */
export function splitKey(key: string, at = 0, count = Infinity): string[] {
  const parts: string[] = [];
  while (at < key.length && parts.length < count) {
    const colon = key.indexOf(':', at);
    const end = colon + 1 + Number(key.slice(at, colon));
    parts.push(key.slice(colon + 1, end));
    at = end;
  }
  return parts;
}

function nameOf(of: MailboxOwner): string {
  if (of.kind === 'delayed') return joinKey(['', '', '']);
  return of.kind === 'client' ? joinKey([of.user, of.clientId]) : joinKey(['', '', of.share, of.filter]);
}

function ownerText(of: MailboxOwner): string {
  if (of.kind === 'client') return `mailbox of client '${of.clientId}' of user '${of.user}'`;
  if (of.kind === 'delayed') return 'delayed messages for subscribers';
  return `mailbox of shared subscription '${of.share}' to '${of.filter}'`;
}
