/**
 * Damaged files: a small store is made once, then opened again and again with one bit turned or one file cut short. Whatever it says
 * then must be true, and what it can't say any more it must tell of.
 */
import { type Image, Machine } from './machine.ts';
import { bodyIsRight, OutgoingMessage, parseProperties } from './payload.ts';
import { Random } from './random.ts';
import { type EngineFactory, dataDirectory } from './simulation.ts';

/** Of the messages that are delayed: longer than the store is made. */
const dueInMs = 60_000;

/** What a store holds, in a form that can be compared: one line a fact. */
export interface Contents {
  readonly facts: ReadonlySet<string>;
  readonly wrong: readonly string[];
}

export interface Opened {
  /** Error that `open` was rejected with, if any. */
  readonly rejected: { readonly code: string; readonly message: string } | null;
  readonly contents: Contents;
  /** Notices, damaged queues, errors of reading: whatever was told. */
  readonly told: readonly string[];
  /** The files afterwards. */
  readonly image: Image;
}

/** A store with a few queues and a stream, settled, unsettled and delayed messages, keyed state and a producer. `sealed`: closed in order, else killed. */
export async function makeStore(factory: EngineFactory, messages: number, sealed: boolean): Promise<Image> {
  const machine = new Machine(null);
  const engine = factory(machine.files, machine.clock, new Random(1), false);
  await machine.do(engine.open(machine.listener));
  // Of one that was killed, what ends between two groups may be its end: where that is, few lengths can say.
  const keys = ['red', 'green', 'blue', ...(sealed ? ['stream'] : [])];
  for (const key of keys) {
    const limits =
      key === 'stream' && engine.capabilities.streams ? { stream: { maxBytes: 2000, partBytes: 300 } } : {};
    await machine.do(engine.change([{ op: 'put-queue', queue: { key, durable: true, limits, value: key } }]));
  }
  await machine.do(
    engine.change([{ op: 'put', entry: { kind: 'exchange', key: 'x', durable: true, value: { type: 'fanout' } } }]),
  );
  const message = new OutgoingMessage();
  const random = new Random(7);
  const receiver = { committed: () => {}, failed: () => {} };
  for (let n = 1; n <= messages; n++) {
    const batch = engine.begin('required');
    message.fill(n, n, random.below(200));
    if (n % 4 === 0) message.dueAt = machine.clock.now() + dueInMs;
    const queues = keys
      .filter((key) => (key === 'stream' ? n % 3 === 0 : random.chance(0.5)))
      .map((key) => engine.queue(key)!);
    if (queues.length > 0) batch.append(engine.targets(queues, Buffer.from('to somewhere')), message);
    if (n % 7 === 0) batch.put(`key-${n}`, Buffer.from(`value ${n}`));
    batch.commit(receiver, null);
    await machine.scheduler.drive(() => false, machine.scheduler.nowUs + 2000);
  }
  const lease = engine.lease();
  const numbers: number[] = [];
  const red = engine.queue('red')!;
  await machine.do(
    engine.consume(
      red,
      lease,
      { credit: 10, noAck: false },
      {
        deliver: (delivery) => {
          numbers.push(delivery.number);
          return true;
        },
        cancelled: () => {},
      },
    ),
  );
  await machine.scheduler.drive(() => false, machine.scheduler.nowUs + 50_000);
  const batch = engine.begin();
  for (const number of numbers.filter((one) => one % 2 === 0)) batch.settle(lease, red, number, 1, 'ack');
  batch.commit(receiver, null);
  await machine.scheduler.drive(() => false, machine.scheduler.nowUs + 500_000);
  if (sealed) await machine.do(engine.close());
  machine.owner.dead = true;
  return machine.disk.image(dataDirectory);
}

/** Opens the image and asks for everything that it holds. */
export async function openImage(factory: EngineFactory, image: Image): Promise<Opened> {
  const machine = new Machine(image);
  const facts = new Set<string>();
  const wrong: string[] = [];
  const engine = factory(machine.files, machine.clock, new Random(1), false);
  let rejected: Opened['rejected'] = null;
  try {
    const topology = await machine.do(engine.open(machine.listener));
    for (const entry of topology.entries) facts.add(`entry ${JSON.stringify(entry)}`);
    for (const { key } of topology.queues) {
      const { delayed } = await machine.do(engine.stats(engine.queue(key)!));
      facts.add(`delayed ${key} ${delayed}`);
    }
    // Then all are ready.
    await machine.scheduler.drive(() => false, machine.scheduler.nowUs + 2 * dueInMs * 1000);
    for (const queue of topology.queues) {
      facts.add(`queue ${JSON.stringify(queue)}`);
      const handle = engine.queue(queue.key)!;
      try {
        for (const one of await machine.do(engine.browse(handle, 0, 1e6))) {
          const received = parseProperties(one.properties);
          const right =
            received !== null && bodyIsRight(received, one.body) && one.envelope.toString() === 'to somewhere';
          if (right) facts.add(`message ${queue.key} ${received.messageId}`);
          else wrong.push(`${queue.key}@${one.number}: wrong bytes`);
        }
      } catch (error) {
        machine.told.push(`browse ${queue.key}: ${(error as Error).message}`);
      }
      if (handle.damage !== null) machine.told.push(`queue ${queue.key}: ${handle.damage.message}`);
    }
    for (const one of await machine.do(engine.state('')))
      facts.add(`state ${one.key} ${Buffer.from(one.value).toString()}`);
    await machine.do(engine.close()).catch((error: unknown) => machine.told.push(`close: ${(error as Error).message}`));
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === undefined) throw error;
    rejected = { code, message };
  }
  machine.owner.dead = true;
  return { rejected, contents: { facts, wrong }, told: machine.told, image: machine.disk.image(dataDirectory) };
}

/** What is wrong with how a damaged image was received; null: nothing. `whole` is what the undamaged one holds. */
export function judgeDamage(whole: Contents, opened: Opened, file: string): string | null {
  const { rejected, contents, told } = opened;
  if (contents.wrong.length > 0) return `wrong bytes got out: ${contents.wrong.join(', ')}`;
  // Errors of reading name a segment by its number. Where the first group of a segment is missing, the one before ends early.
  const segment = Number(/^journal-0*(\d+)\.seg$/.exec(file)?.[1] ?? 0);
  const namesSegment = new RegExp(`\\bsegment ${segment}\\b|journal-0*${segment - 1}\\.seg.* is damaged or missing`);
  const names = (line: string): boolean => line.includes(file) || (segment > 0 && namesSegment.test(line));
  if (rejected !== null)
    // Of a marker that says another version nobody can say that it is damaged.
    return rejected.code === 'NEWER' || names(rejected.message)
      ? null
      : `rejected without naming the file: ${rejected.code} ${rejected.message}`;
  const silent = told.find((line) => line.includes('does not answer'));
  if (silent !== undefined) return silent;
  if (told.some(names)) return null;
  // A settlement that is lost brings its message back.
  const changed = [
    ...[...whole.facts].filter((fact) => !contents.facts.has(fact)),
    ...[...contents.facts].filter((fact) => !whole.facts.has(fact)),
  ];
  if (changed.length === 0) return null;
  return `${changed.length} facts are gone or new (${changed[0]!}), and nothing names ${file}: ${told.join('; ')}`;
}

export function withBitTurned(image: Image, file: string, bit: number): Image {
  const bytes = Buffer.from(image.get(file)!);
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  return new Map([...image, [file, bytes]]);
}

export function cutShort(image: Image, file: string, size: number): Image {
  return new Map([...image, [file, image.get(file)!.subarray(0, size)]]);
}
