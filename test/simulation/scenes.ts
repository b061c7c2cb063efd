/** Crashes at a moment that seeds seldom meet, one after the other as written. Each tells what is wrong; null: nothing. */
import type { Engine } from '../../src/engine/engine.ts';
import { localEngine } from '../../src/engine/local/index.ts';
import type { FileHandle, Files, OpenMode } from '../../src/engine/local/journal/files.ts';
import { openImage } from './damage.ts';
import { Machine } from './machine.ts';
import { OutgoingMessage } from './payload.ts';
import { Random } from './random.ts';
import { type EngineFactory, dataDirectory } from './simulation.ts';

const KiB = 1024;

const factory: EngineFactory = (files, clock) => {
  const salts = new Random(clock.now());
  return localEngine(dataDirectory, {
    files,
    clock,
    segmentBytes: 8 * KiB,
    firstSegmentBytes: 8 * KiB,
    blockBytes: 4 * KiB,
    windowBytes: 4 * KiB,
    checkpointBytes: 2 * KiB,
    reserveBytes: KiB,
    spareSegments: 0,
    sparseShare: 0,
    scrubIntervalMs: 0,
    randomBits: () => salts.uint32(),
  });
};

/** A disk whose calls a scene may watch and fail, and whose journal it may hold up. */
class StagedFiles implements Files {
  /** Told of each sync as it is asked for. */
  syncing: (path: string) => void = () => undefined;
  /** Told of each rename that is done; what it throws is how that ends all the same. */
  renamed: (to: string) => void = () => undefined;
  /** Writes of the journal are begun no more. */
  heldUp = false;
  /** Directories are synced no more. */
  directoriesHeldUp = false;
  readonly #files: Files;

  constructor(files: Files) {
    this.#files = files;
  }

  makeDirectory(path: string): Promise<void> {
    return this.#files.makeDirectory(path);
  }

  list(directory: string): Promise<string[]> {
    return this.#files.list(directory);
  }

  async open(path: string, mode: OpenMode): Promise<FileHandle> {
    const handle = await this.#files.open(path, mode);
    const staged: FileHandle = {
      path,
      read: (into, offset, length, position) => handle.read(into, offset, length, position),
      readEach: (into, length, positions) => handle.readEach(into, length, positions),
      write: (bytes, offset, length, position) => handle.write(bytes, offset, length, position),
      append: (bytes, offset, length, position, sync, done) => {
        if (!this.heldUp) handle.append(bytes, offset, length, position, sync, done);
      },
      sync: () => {
        this.syncing(path);
        return handle.sync();
      },
      truncate: (size) => handle.truncate(size),
      size: () => handle.size(),
      close: () => handle.close(),
    };
    return staged;
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#files.rename(from, to);
    this.renamed(to);
  }

  unlink(path: string): Promise<void> {
    return this.#files.unlink(path);
  }

  syncDirectory(path: string): Promise<void> {
    return this.directoriesHeldUp ? new Promise(() => undefined) : this.#files.syncDirectory(path);
  }

  lock(directory: string): ReturnType<Files['lock']> {
    return this.#files.lock(directory);
  }
}

/** A queue on a staged disk, with a consumer that holds all that was published. */
class Stage {
  readonly machine = new Machine(null);
  readonly files = new StagedFiles(this.machine.files);
  readonly engine: Engine = factory(this.files, this.machine.clock, new Random(1), false);
  readonly held: number[] = [];
  readonly #lease = this.engine.lease();
  readonly #message = new OutgoingMessage();
  #published = 0;

  async open(): Promise<void> {
    const { engine, machine } = this;
    await machine.do(engine.open(machine.listener));
    await machine.do(
      engine.change([{ op: 'put-queue', queue: { key: 'red', durable: true, limits: {}, value: null } }]),
    );
    const sink = { deliver: (view: { number: number }) => this.held.push(view.number) > 0, cancelled: () => undefined };
    await machine.do(engine.consume(this.#queue, this.#lease, { credit: Infinity, noAck: false }, sink));
  }

  get #queue(): NonNullable<ReturnType<Engine['queue']>> {
    return this.engine.queue('red')!;
  }

  publish(bytes: number): Promise<void> {
    this.#message.fill(++this.#published, this.#published, bytes);
    const targets = this.engine.targets([this.#queue], Buffer.from('to somewhere'));
    return this.#commit((batch) => batch.append(targets, this.#message));
  }

  acknowledge(...numbers: number[]): Promise<void> {
    return this.#commit((batch) => {
      for (const number of numbers) batch.settle(this.#lease, this.#queue, number, 1, 'ack');
    });
  }

  #commit(fill: (batch: ReturnType<Engine['begin']>) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const receiver = { committed: () => resolve(), failed: (_: null, error: Error) => reject(error) };
      const batch = this.engine.begin();
      fill(batch);
      batch.commit(receiver, null);
    });
  }

  async pass(ms: number): Promise<void> {
    await this.machine.scheduler.drive(() => false, this.machine.scheduler.nowUs + ms * 1000);
  }

  /** The power goes. What the engine then finds, as facts, and what it tells. */
  async cut(): Promise<Awaited<ReturnType<typeof openImage>>> {
    const { disk, owner } = this.machine;
    owner.dead = true;
    disk.powerCut(new Random(1));
    return openImage(factory, disk.image(dataDirectory));
  }
}

/**
 * A checkpoint is being written when the last message of an old segment is acknowledged; the power goes before the acknowledgement is on disk.
 * The message must be there: so must its segment.
 */
async function emptiedDuringACheckpoint(): Promise<string | null> {
  const stage = new Stage();
  await stage.open();
  for (let n = 0; n < 40; n++) await stage.machine.do(stage.publish(1000));
  await stage.pass(1000);
  const [first, ...others] = stage.held;
  if (first === undefined || others.length !== 39) return 'the stage is not set: not everything was delivered';
  await stage.machine.do(stage.acknowledge(...others));
  await stage.pass(1000);
  let struck = false;
  stage.files.syncing = (path) => {
    if (struck || !path.includes('checkpoint')) return;
    struck = true;
    stage.files.heldUp = true;
    void stage.acknowledge(first);
  };
  for (let n = 0; n < 10 && !struck; n++) {
    void stage.publish(1000);
    await stage.pass(100);
  }
  if (!struck) return 'the stage is not set: no checkpoint was written';
  await stage.pass(5000);
  const { rejected, contents, told } = await stage.cut();
  if (rejected !== null) return `the start was refused: ${rejected.message}`;
  if (contents.facts.has('message red 1')) return null;
  return `the message is gone, though its settlement was not on disk: ${told.join('; ')}`;
}

/**
 * The first start renames its marker and is told that this failed; the second finds the marker, and the power goes when its segment has its name.
 * Whatever is left of the names, a third start must serve.
 */
async function markerThatAStartFinds(): Promise<string | null> {
  for (let cut = 0; cut < 40; cut++) {
    const stage = new Stage();
    const { files, machine } = stage;
    files.renamed = () => {
      throw Object.assign(new Error('EIO: i/o error, rename'), { code: 'EIO' });
    };
    const failed = await machine.do(stage.engine.open(machine.listener)).then(
      () => false,
      () => true,
    );
    if (!failed) return 'the stage is not set: the first start did not fail';
    files.renamed = (to) => {
      files.directoriesHeldUp = to.endsWith('.seg');
    };
    void factory(files, machine.clock, new Random(2), false).open(machine.listener);
    await machine.scheduler.drive(() => files.directoriesHeldUp, machine.scheduler.nowUs + 60_000_000);
    if (!files.directoriesHeldUp) return 'the stage is not set: no segment was made';
    machine.owner.dead = true;
    machine.disk.powerCut(new Random(cut));
    const { rejected } = await openImage(factory, machine.disk.image(dataDirectory));
    if (rejected !== null) return `the start was refused: ${rejected.message}`;
  }
  return null;
}

export const scenes = { emptiedDuringACheckpoint, markerThatAStartFinds };
export type Scene = keyof typeof scenes;
