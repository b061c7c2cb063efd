/** A client that subscribes, and what it gets. */
import assert from 'node:assert/strict';
import type { LiveSink, Session, Subscriber, SubscriptionRequest } from '../../../src/broker/index.ts';
import { BrokerError } from '../../../src/broker/index.ts';
import { guest } from '../../../src/broker/principal.ts';
import type { ItemOutcome, MessageView } from '../../../src/engine/engine.ts';
import type { BasicProperties } from '../../../src/format/basic-properties.ts';
import type { Route } from '../../../src/broker/route.ts';
import { type Bench, Inbox, messageOf } from '../harness.ts';

export function requestOf(filter: string, more: Partial<SubscriptionRequest> = {}): SubscriptionRequest {
  return { filter, share: null, queued: false, noLocal: false, options: 0, identifier: 0, ...more };
}

export class Reader implements LiveSink {
  readonly bench: Bench;
  readonly subscriber: Subscriber;
  /** Past every queue: topic and body. */
  readonly live: string[] = [];
  readonly inbox = new Inbox();

  constructor(bench: Bench, clientId: string, durable = false, user = 'guest') {
    this.bench = bench;
    this.subscriber = bench.vhost.subscribers.create(user, clientId, { durable });
    this.subscriber.sink = this;
  }

  take(message: MessageView, _route: Route, topic: string, publisher: Subscriber | null): void {
    const from = publisher === null ? '' : ` from ${publisher.clientId}`;
    this.live.push(`${topic}: ${message.body.toString('utf8', message.bodyStart, message.bodyEnd)}${from}`);
  }

  /** Whether the subscription is new. */
  async subscribe(filter: string, more: Partial<SubscriptionRequest> = {}): Promise<boolean> {
    const [outcome] = await this.bench.vhost.subscribers.subscribe(guest, this.subscriber, [requestOf(filter, more)]);
    if (outcome === undefined || outcome instanceof BrokerError) throw outcome ?? new assert.AssertionError();
    return outcome.isNew;
  }

  unsubscribe(filter: string, share: string | null = null): Promise<readonly boolean[]> {
    return this.bench.vhost.subscribers.unsubscribe(this.subscriber, [{ filter, share }]);
  }

  /** Gets what waits in its mailbox. */
  async consume(session: Session, prefetch = 0): Promise<void> {
    const request = { consumerTag: 'mailbox', noAck: false, afterSync: this.subscriber.durable, prefetch };
    await session.consumeMailbox(this.subscriber, request, this.inbox);
  }
}

/** As a client that publishes to a topic. False: nobody gets it. */
export async function publish(
  bench: Bench,
  session: Session,
  topic: string,
  body: string,
  properties: BasicProperties = {},
): Promise<boolean> {
  const { routed, outcomes } = await publishTo(bench, session, topic, body, properties);
  assert.equal(outcomes, null);
  return routed;
}

export async function publishTo(
  bench: Bench,
  session: Session,
  topic: string,
  body: string,
  properties: BasicProperties = {},
): Promise<{ readonly routed: boolean; readonly outcomes: readonly ItemOutcome[] | null }> {
  const message = messageOf(body, properties);
  const { vhost, principal, subscriber } = session;
  const route = session.resolve(vhost.routeTopic(principal, 'amq.topic', topic, subscriber?.clientId ?? null), message);
  let routed = false;
  const outcomes = await bench.commit((batch) => (routed = session.publish(batch, route, message)));
  return { routed, outcomes };
}
