/**
 * Load for kill tests: producers and consumers over real connections, in the test's process, so that what they recorded
 * survives the broker. Producers send again whatever has no answer, as the next attempt of the same message.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AMQPError, Connection, type Consumer, type Publisher } from 'rabbitmq-client';
import { bodyHash, messageId, type Recorder } from '../../src/verify/index.ts';

export const exchange = 'load';
/** Every message is routed to all of them. */
export const queues = ['left', 'right'] as const;

const topology = {
  exchanges: [{ exchange, type: 'fanout', durable: true }],
  queues: queues.map((queue) => ({ queue, durable: true })),
  queueBindings: queues.map((queue) => ({ exchange, queue })),
};

export function connect(url: string): Connection {
  const connection = new Connection({ url, retryLow: 20, retryHigh: 200, acquireTimeout: 30_000 });
  // A killed broker is what these tests are about.
  connection.on('error', () => undefined);
  return connection;
}

export class Producer {
  confirmed = 0;
  unknown = 0;
  #sequence = 0;
  #stopping = false;
  readonly #name: string;
  readonly #recorder: Recorder;
  readonly #publisher: Publisher;
  readonly #done: Promise<unknown>;

  /** Keeps `window` messages unconfirmed. */
  constructor(connection: Connection, recorder: Recorder, name: string, window: number) {
    this.#name = name;
    this.#recorder = recorder;
    this.#publisher = connection.createPublisher({ confirm: true, ...topology });
    this.#done = Promise.all(Array.from({ length: window }, () => this.#run()));
  }

  /** No new messages; resolves once all that were begun are confirmed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#done;
    await this.#publisher.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopping) await this.#publish(++this.#sequence);
  }

  async #publish(sequence: number): Promise<void> {
    const id = messageId(this.#name, 1, sequence);
    const body = bodyOf(id, sequence);
    const hash = bodyHash(body);
    for (let attempt = 1; ; attempt++) {
      this.#recorder.publish(id, attempt, hash, queues);
      try {
        await this.#publisher.send({ exchange, messageId: id, durable: true }, body);
        this.#recorder.confirmed(id, attempt);
        this.confirmed++;
        return;
      } catch (error) {
        if (error instanceof AMQPError && error.code === 'NACK') {
          this.#recorder.rejected(id, attempt);
        } else {
          this.#recorder.unknown(id, attempt);
          this.unknown++;
        }
      }
      await sleep(20);
    }
  }
}

/** Mostly small, now and then larger than a frame; never two alike. */
function bodyOf(id: string, sequence: number): Buffer {
  const length = sequence % 500 === 0 ? 200_000 : 20 + ((sequence * 7919) % 400);
  const seed = createHash('sha256').update(id).digest();
  return Buffer.alloc(length, seed);
}

export class Receiver {
  #subscriptions = 0;
  readonly #consumer: Consumer;

  /** `received` takes the ids of what is delivered. */
  constructor(connection: Connection, recorder: Recorder, queue: string, name: string, received: Set<string>) {
    const nextTag = (): string => `${name}-${++this.#subscriptions}`;
    this.#consumer = connection.createConsumer(
      {
        queue,
        queueOptions: { durable: true },
        qos: { prefetchCount: 100 },
        // Read anew at each subscription: each is a consumer of its own in the history.
        get consumerTag() {
          return nextTag();
        },
      },
      (message) => {
        const id = message.messageId ?? '';
        recorder.delivered(queue, message.consumerTag, id, bodyHash(message.body as Buffer), message.redelivered);
        recorder.settle(queue, message.consumerTag, id);
        received.add(id);
      },
    );
    this.#consumer.on('error', () => undefined);
  }

  async close(): Promise<void> {
    await this.#consumer.close();
  }
}
