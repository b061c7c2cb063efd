/** A broker on an engine, and what its tests say often. */
import assert from 'node:assert/strict';
import {
  Broker,
  ConnectionScope,
  Session,
  type BrokerSettings,
  type ConsumerSink,
  type Vhost,
} from '../../src/broker/index.ts';
import { readEnvelope } from '../../src/broker/envelope.ts';
import { guest } from '../../src/broker/principal.ts';
import type { DeliveryView, Engine, ItemOutcome, MessageView } from '../../src/engine/engine.ts';
import { type BasicProperties, decodeProperties, encodeProperties } from '../../src/format/basic-properties.ts';
import type { FieldTable } from '../../src/format/field-table.ts';
import { FakeEngine } from './fake-engine.ts';

export interface Got {
  readonly tag: number;
  readonly body: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly redelivered: boolean;
  readonly properties: BasicProperties;
}

export function messageOf(body: string, properties: BasicProperties = {}): MessageView {
  const head = encodeProperties(properties);
  return {
    head,
    envelopeStart: 0,
    envelopeEnd: 0,
    propertiesStart: 0,
    propertiesEnd: head.length,
    body: Buffer.from(body),
    bodyStart: 0,
    bodyEnd: Buffer.byteLength(body),
    expiresAt: 0,
    priority: 0,
    dueAt: 0,
    identity: null,
  };
}

export function gotFrom(tag: number, delivery: DeliveryView): Got {
  const { head } = delivery;
  return {
    tag,
    body: delivery.body.toString('utf8', delivery.bodyStart, delivery.bodyEnd),
    ...readEnvelope(head, delivery.envelopeStart),
    redelivered: delivery.redelivered,
    properties: decodeProperties(
      Buffer.from(head.subarray(delivery.propertiesStart, delivery.propertiesEnd)),
      0,
      delivery.propertiesEnd - delivery.propertiesStart,
    ),
  };
}

/** A sink that keeps what it gets. */
export class Inbox implements ConsumerSink {
  readonly got: Got[] = [];
  cancelledCount = 0;
  /** Whether the output has room for more. */
  room = true;

  deliver(tag: number, delivery: DeliveryView): boolean {
    this.got.push(gotFrom(tag, delivery));
    return this.room;
  }

  cancelled(): void {
    this.cancelledCount += 1;
  }

  get bodies(): string[] {
    return this.got.map((got) => got.body);
  }
}

/** Lets everything that is under way come to rest. */
export async function rest(turns = 12): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}

export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export class Bench {
  readonly engine: Engine;
  readonly broker: Broker;
  readonly lines: string[] = [];

  constructor(engine: Engine = new FakeEngine(), settings: Partial<BrokerSettings> = {}) {
    this.engine = engine;
    this.broker = new Broker({ engine, settings, log: (line) => this.lines.push(line) });
  }

  async open(): Promise<this> {
    await this.broker.open();
    return this;
  }

  /** The engine, where it is the plain one. */
  get fake(): FakeEngine {
    assert.ok(this.engine instanceof FakeEngine);
    return this.engine;
  }

  get vhost(): Vhost {
    return this.broker.vhost('/')!;
  }

  scope(): ConnectionScope {
    return new ConnectionScope(this.vhost, 'test');
  }

  session(scope = this.scope()): Session {
    return new Session(this.broker, this.vhost, guest, scope);
  }

  async queue(session: Session, name: string, args: FieldTable = {}, durable = true): Promise<void> {
    await this.vhost.declareQueue(session, { name, durable, exclusive: false, autoDelete: false, arguments: args });
  }

  async exchange(session: Session, name: string, type: string, args: FieldTable = {}): Promise<void> {
    const traits = { name, type, durable: true, autoDelete: false, internal: false, arguments: args };
    await this.vhost.declareExchange(session, traits);
  }

  async bind(
    session: Session,
    queue: string,
    exchange: string,
    routingKey: string,
    args: FieldTable = {},
  ): Promise<void> {
    await this.vhost.bindQueue(session, { queue, exchange, routingKey, arguments: args });
  }

  /** Resolves with the outcomes of the batch, or `unroutable`. */
  publish(
    session: Session,
    exchange: string,
    routingKey: string,
    body: string,
    properties: BasicProperties = {},
  ): Promise<readonly ItemOutcome[] | null | 'unroutable'> {
    const message = messageOf(body, properties);
    const route = session.resolve(this.vhost.route(session.principal, exchange, routingKey), message);
    if (route.targets === null) return Promise.resolve('unroutable');
    return this.commit((batch) => session.publish(batch, route, message));
  }

  commit(fill: (batch: ReturnType<Broker['begin']>) => void): Promise<readonly ItemOutcome[] | null> {
    return new Promise((resolve, reject) => {
      const batch = this.broker.begin();
      fill(batch);
      batch.commit(
        { committed: (_token, outcomes) => resolve(outcomes), failed: (_token, error) => reject(error) },
        null,
      );
    });
  }

  consume(
    session: Session,
    queue: string,
    inbox: Inbox,
    more: {
      noAck?: boolean;
      prefetch?: number;
      consumerTag?: string;
      exclusive?: boolean;
      arguments?: FieldTable;
    } = {},
  ) {
    return session.consume(queue, { consumerTag: '', noAck: false, exclusive: false, arguments: {}, ...more }, inbox);
  }

  async get(session: Session, queue: string, noAck = true): Promise<Got | null> {
    let got: Got | null = null;
    await session.get(queue, noAck, { deliver: (tag, delivery) => (got = gotFrom(tag, delivery)) });
    return got;
  }

  /** The ready messages of a queue. */
  async count(queue: string): Promise<number> {
    return (await this.vhost.checkQueue(this.session(), queue)).messageCount;
  }
}
