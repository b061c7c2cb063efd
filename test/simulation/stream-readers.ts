/** What a small broker does with its streams, beside all else: it declares and reads them, and puts them beside the targets of its appends. */
import type { EngineConsumer, Lease, StreamLimits, StreamStart } from '../../src/engine/engine.ts';
import type { Client } from './client.ts';
import type { Random } from './random.ts';
import type { StreamBook } from './stream-book.ts';

export const streamKinds: readonly StreamLimits[] = [
  {},
  {},
  { maxBytes: 4000 },
  { maxBytes: 600, partBytes: 100 },
  { maxAgeMs: 700 },
  { maxBytes: 8000, maxAgeMs: 3000 },
];

interface Reader {
  readonly name: string;
  readonly book: StreamBook;
  readonly lease: Lease;
  next: number;
  credit: number;
  consumer: EngineConsumer | null;
  paused: boolean;
  cancelled: boolean;
}

export class StreamReaders {
  readonly #client: Client;
  readonly #random: Random;
  readonly #readers: Reader[] = [];

  constructor(client: Client, random: Random) {
    this.#client = client;
    this.#random = random;
  }

  /** Those that can be appended to. */
  get books(): readonly StreamBook[] {
    const { engine, world } = this.#client;
    return world.streams.filter(({ key }) => engine.queue(key) !== undefined);
  }

  /** What an append goes to beside its queues. */
  targets(): StreamBook[] {
    return this.books.filter(() => this.#random.chance(0.4));
  }

  declare(): void {
    const client = this.#client;
    const { world, engine } = client;
    if (!engine.capabilities.streams) return;
    for (const book of world.streams) {
      if (engine.queue(book.key) !== undefined) continue;
      const unit = world.model.unit('change', true);
      const queue = { key: book.key, durable: true, limits: { stream: book.limits }, value: null };
      client.open.add(unit);
      book.declared = unit;
      world.coverage.add('op.declare-stream');
      client.wait(
        `declare ${book.key}`,
        engine.change([{ op: 'put-queue', queue }]),
        () => {
          unit.state = 'done';
          client.open.delete(unit);
          book.declared = true;
        },
        (error) => {
          if (client.failure === null && !client.closing)
            client.violate(`declaring ${book.key} was rejected: ${String(error)}`);
          client.open.delete(unit);
        },
      );
    }
  }

  /** Now and then one of its own. */
  act(): void {
    const random = this.#random;
    const { books } = this;
    if (books.length === 0 || !random.chance(0.3)) return;
    const open = this.#readers.filter((reader) => !reader.cancelled);
    if (open.length === 0 || (open.length < 4 && random.chance(0.25))) {
      const book = random.pick(books);
      const { start, next } = this.#start(book);
      this.read(book, start, next, random.chance(0.2) ? Infinity : random.between(0, 20));
      return;
    }
    const reader = random.pick(open);
    if (reader.paused && random.chance(0.7)) {
      reader.paused = false;
      reader.consumer?.resume();
    } else if (random.chance(0.8)) {
      if (reader.consumer === null) return;
      const count = random.between(1, 15);
      reader.credit += count;
      reader.consumer.addCredit(count);
    } else if (reader.consumer !== null) {
      this.#client.world.coverage.add('op.stop-reading');
      reader.cancelled = true;
      reader.consumer.cancel();
    }
  }

  read(book: StreamBook, from: StreamStart, next: number, credit: number, pauses = true): Reader {
    const client = this.#client;
    const { world, engine } = client;
    const name = `reader-${world.nextNonce++}`;
    const reader: Reader = {
      name,
      book,
      lease: engine.lease(),
      next,
      credit,
      consumer: null,
      paused: false,
      cancelled: false,
    };
    this.#readers.push(reader);
    world.coverage.add(`op.read-from-${typeof from === 'string' ? from : Object.keys(from)[0]!}`);
    world.trace?.line(
      `${world.scheduler.nowUs} read ${book.key} ${name} from ${JSON.stringify(from)} credit ${credit}`,
    );
    const begun = engine.consume(
      engine.queue(book.key)!,
      reader.lease,
      { credit, noAck: false, from },
      {
        deliver: (view) => {
          if (client.owner.dead) throw new Error('simulation: a delivery from a dead process');
          world.trace?.line(`${world.scheduler.nowUs} deliver ${book.key}@${view.number} ${name}`);
          if (reader.consumer === null || reader.cancelled || reader.paused || reader.credit <= 0)
            client.violate(`${book.key}@${view.number} delivered to ${name}, which can't take it`);
          world.coverage.add('delivery.of-stream');
          reader.credit--;
          // Where it begins by time, or behind the end, is the engine's to say; from there on it goes on.
          const expected = reader.next === -1 ? view.number : reader.next;
          reader.next = book.delivered(view, expected, world.scheduler.nowMs());
          reader.paused = pauses && this.#random.chance(0.03);
          return !reader.paused;
        },
        cancelled: () => {
          reader.cancelled = true;
        },
      },
    );
    const lawful = (): boolean => client.failure !== null || client.closing || engine.queue(book.key)?.damage != null;
    client.wait(
      `read ${book.key}`,
      begun,
      (consumer) => {
        reader.consumer = consumer;
      },
      (error) => {
        reader.cancelled = true;
        if (!lawful()) client.violate(`reading ${book.key} was rejected: ${String(error)}`);
      },
    );
    return reader;
  }

  /** Reads all there is, to its end. Answers whether all are there. */
  readAll(): () => boolean {
    const { engine } = this.#client;
    const readers = this.books.map((book) => this.read(book, 'first', book.isLimited ? -1 : 1, Infinity, false));
    const ends = new Map<Reader, number>();
    for (const reader of readers) {
      this.#client.wait(`stats ${reader.book.key}`, engine.stats(engine.queue(reader.book.key)!), ({ ready }) =>
        ends.set(reader, ready),
      );
    }
    // Of a limited one nobody but the engine knows how far it goes.
    return () => readers.every((reader) => reader.book.isLimited || reader.next > (ends.get(reader) ?? Infinity));
  }

  /** They are deleted, and their segments can go. */
  delete(): void {
    const { engine } = this.#client;
    for (const { key } of this.books)
      this.#client.wait(`delete ${key}`, engine.change([{ op: 'delete-queue', key }]), () => {});
  }

  #start(book: StreamBook): { readonly start: StreamStart; readonly next: number } {
    const random = this.#random;
    const nowMs = this.#client.world.scheduler.nowMs();
    switch (random.weighted({ first: 4, last: 1, next: 2, number: 3, time: 2 })) {
      case 'first':
        return { start: 'first', next: book.isLimited ? -1 : 1 };
      case 'last':
        return { start: 'last', next: -1 };
      case 'next':
        return { start: 'next', next: -1 };
      case 'number': {
        const number = random.between(1, 60);
        return { start: { number }, next: number };
      }
      case 'time':
        return { start: { storedAt: nowMs - random.below(4000) }, next: -1 };
    }
  }
}
