/**
 * `$SYS/broker/...`: what a server says of itself, to whoever subscribes to it; names are those of Mosquitto. Nothing is computed while nobody
 * does. Values go out at most once and past every queue, whatever QoS was granted: those who come back find newer ones.
 */
import type { Broker, LiveSink, MessageView, Subscriber, Subscription, Vhost } from '../../broker/index.ts';
import { filterMatches } from '../../wire/mqtt/topic.ts';
import { constantAt, constantBlocks } from './message-properties.ts';

/** How often values that have changed are sent. */
const periodMs = 10_000;

/** What it looks at of a server. */
export interface SysSource {
  readonly broker: Broker;
  readonly version: string;
  readonly sessions: { readonly count: number; readonly offlineCount: number };
  readonly traffic: {
    readonly mostConnections: number;
    readonly bytesReceived: number;
    /** PUBLISH packets. */
    readonly messagesReceived: number;
    readonly messagesSent: number;
    /** Of QoS 0, that clients did not take. */
    readonly dropped: number;
  };
  /** To all clients since the beginning. */
  readonly bytesSent: number;
}

/** Takes what is current at once, as retained. */
export interface RetainedTaker {
  takeRetained(message: MessageView, topic: string, subscription: Subscription): void;
}

type Reading = (source: SysSource, uptimeSeconds: number) => number | string;

const readings: Readonly<Record<string, Reading>> = {
  version: ({ version }) => `postrider version ${version}`,
  uptime: (_source, uptimeSeconds) => `${uptimeSeconds} seconds`,
  'clients/connected': ({ sessions }) => sessions.count - sessions.offlineCount,
  'clients/disconnected': ({ sessions }) => sessions.offlineCount,
  'clients/total': ({ sessions }) => sessions.count,
  'clients/maximum': ({ traffic }) => traffic.mostConnections,
  'bytes/received': ({ traffic }) => traffic.bytesReceived,
  'bytes/sent': ({ bytesSent }) => bytesSent,
  'publish/messages/received': ({ traffic }) => traffic.messagesReceived,
  'publish/messages/sent': ({ traffic }) => traffic.messagesSent,
  'publish/messages/dropped': ({ traffic }) => traffic.dropped,
  'retained messages/count': ({ broker }) => sumOf(broker, ({ retained }) => retained.count),
  'subscriptions/count': ({ broker }) => sumOf(broker, ({ graph }) => graph.subscriptions.size),
  'queues/count': ({ broker }) => sumOf(broker, ({ graph }) => graph.queues.size),
  'heap/current': () => process.memoryUsage.rss(),
};

const topics = Object.keys(readings).map((name) => `$SYS/broker/${name}`);
const read = Object.values(readings);

export class SysTopics {
  readonly #source: SysSource;
  readonly #startedAt: number;
  readonly #sent: (string | null)[] = topics.map(() => null);
  #timer: NodeJS.Timeout | null = null;

  constructor(source: SysSource) {
    this.#source = source;
    this.#startedAt = this.#now();
  }

  start(): void {
    this.#timer ??= setInterval(() => this.send(), periodMs).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Of a subscription that is new or made again: what it matches, as it is now. */
  sendTo(taker: RetainedTaker, subscription: Subscription): void {
    const { filter } = subscription;
    // Wildcards at the first level don't match here.
    if (!filter.startsWith('$SYS/')) return;
    for (const [i, topic] of topics.entries()) {
      if (filterMatches(filter, topic)) taker.takeRetained(messageOf(this.#value(i)), topic, subscription);
    }
  }

  /** What has changed, to all who subscribe to it and are connected. Every ten seconds by itself. */
  send(): void {
    const { broker } = this.#source;
    for (const [i, topic] of topics.entries()) {
      let message: MessageView | null = null;
      for (const vhost of broker.vhosts) {
        const exchange = vhost.graph.exchanges.get(broker.context.settings.mqttExchange);
        if (exchange === undefined) continue;
        const sinks = sinksOf(vhost, topic);
        if (sinks.size === 0) continue;
        message ??= this.#changed(i);
        if (message === null) break;
        const route = vhost.routes.routeOfTopic(exchange, topic);
        for (const sink of sinks) sink.take(message, route, topic, null);
      }
    }
  }

  /** Null: it is as it was sent last. */
  #changed(index: number): MessageView | null {
    const value = this.#value(index);
    if (value === this.#sent[index]) return null;
    this.#sent[index] = value;
    return messageOf(value);
  }

  #value(index: number): string {
    const uptimeSeconds = Math.floor((this.#now() - this.#startedAt) / 1000);
    return String(read[index]!(this.#source, uptimeSeconds));
  }

  #now(): number {
    return this.#source.broker.context.clock.now();
  }
}

/** Of each who subscribes to the topic, once. */
function sinksOf(vhost: Vhost, topic: string): ReadonlySet<LiveSink> {
  const sinks = new Set<LiveSink>();
  const take = ({ sink }: Subscriber): void => {
    if (sink !== null) sinks.add(sink);
  };
  vhost.graph.subscriptions.match(topic, {
    subscription: ({ subscriber }) => take(subscriber),
    group: () => undefined,
  });
  return sinks;
}

function messageOf(value: string): MessageView {
  const body = Buffer.from(value);
  return {
    head: constantBlocks,
    envelopeStart: 0,
    envelopeEnd: 0,
    propertiesStart: constantAt[0]!,
    propertiesEnd: constantAt[1]!,
    body,
    bodyStart: 0,
    bodyEnd: body.length,
    expiresAt: 0,
    priority: 0,
    dueAt: 0,
    identity: null,
  };
}

function sumOf(broker: Broker, count: (vhost: Vhost) => number): number {
  let sum = 0;
  for (const vhost of broker.vhosts) sum += count(vhost);
  return sum;
}
