/**
 * One seed: several lives of an engine on one simulated disk. Each life opens the engine, judges what it has, works, and ends by a
 * power cut, a kill, a failed call, a full disk or a clean close; any of them may also strike while it opens. The last life drains
 * every queue and looks at what is left on the disk.
 */
import type { Clock } from '../../src/engine/clock.ts';
import type {
  Engine,
  KeyedValue,
  ProducerState,
  QueueStats,
  Topology,
  BrowsedMessage,
} from '../../src/engine/engine.ts';
import type { Files } from '../../src/engine/local/journal/files.ts';
import { check, MemoryRecorder, NO_MINIMUMS, messageId as historyId } from '../../src/verify/index.ts';
import { Client, type World } from './client.ts';
import { Coverage } from './coverage.ts';
import { type FaultCode, type FileCall, Faults } from './faults.ts';
import { judgeRecovered, judgeTopology, processEnded } from './judge.ts';
import { Model, type ModelQueue } from './model.ts';
import { groupKeys } from './payload.ts';
import { Random } from './random.ts';
import { type Owner, Scheduler } from './scheduler.ts';
import { SimClock } from './sim-clock.ts';
import { SimDisk } from './sim-disk.ts';
import { SimFiles, type SimHost } from './sim-files.ts';
import { StreamBook } from './stream-book.ts';
import { StreamReaders, streamKinds } from './stream-readers.ts';
import { Trace } from './trace.ts';
import { Workload } from './workload.ts';

export const dataDirectory = '/disk/data';

/** Makes an engine on simulated files and time; `random` draws its tunables. `roomy`: what it keeps for a full disk must be enough for a while. */
export type EngineFactory = (files: Files, clock: Clock, random: Random, roomy: boolean) => Engine;

export interface SeedOptions {
  readonly print?: (line: string) => void;
  /** False: no history is kept nor hashed, which takes a quarter of the time. Default true. */
  readonly traced?: boolean;
  /** For an engine that keeps nothing: one life, drained at its end. */
  readonly oneLife?: boolean;
}

export interface SeedResult {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly operations: number;
  readonly steps: number;
  readonly virtualMs: number;
  /** Of its whole history; 0 if it was not traced. */
  readonly hash: number;
  /** The last lines of its history. */
  readonly last: readonly string[];
  readonly coverage: Coverage;
}

type Ending = 'power' | 'kill' | 'close' | 'fault' | 'full';

/** Virtual time within which an engine must have answered everything. */
const patienceUs = 120_000_000;
const leastOperations = 200;
/** Most seeds take two thousand. */
const mostSteps = 100_000;
/** Virtual time in which whatever an idle engine has left to do is done. */
const idleUs = 4_000_000;

const faultCodes: Readonly<Record<FileCall, readonly FaultCode[]>> = {
  makeDirectory: ['EIO'],
  list: ['EIO'],
  open: ['EIO', 'EMFILE'],
  create: ['EIO', 'ENOSPC', 'EMFILE'],
  rename: ['EIO'],
  unlink: ['EIO'],
  syncDirectory: ['EIO'],
  lock: ['EIO'],
  read: ['EIO'],
  write: ['EIO', 'ENOSPC'],
  append: ['EIO'],
  sync: ['EIO'],
  truncate: ['EIO'],
  size: ['EIO'],
  close: ['EIO'],
};

/** When a crash strikes: some events after a call of that kind was made. */
interface Trigger {
  readonly call: FileCall;
  skip: number;
  readonly delay: number;
}

class SeedRun {
  readonly seed: number;
  readonly #factory: EngineFactory;
  readonly #random: Random;
  readonly #host: SimHost;
  readonly #world: World;
  readonly #workload: Workload;
  readonly #ofStreams: Random;
  #client: Client | null = null;
  #files: SimFiles | null = null;
  #owner: Owner = { dead: false };
  #trigger: Trigger | null = null;
  /** Step at which the crash strikes; Infinity: not yet known. */
  #crashStep = Infinity;
  #unclean = false;
  readonly #oneLife: boolean;
  #firstLife = true;
  /** This life has segments so large that none is filled while the disk is full. */
  #roomy = false;

  constructor(seed: number, factory: EngineFactory, options: SeedOptions) {
    this.seed = seed;
    this.#factory = factory;
    this.#oneLife = options.oneLife ?? false;
    this.#random = new Random(seed, 1);
    const coverage = new Coverage();
    const trace = options.traced === false ? null : new Trace(30, options.print ?? null);
    const scheduler = new Scheduler();
    scheduler.mostSteps = mostSteps;
    const model = new Model();
    // Half of the seeds have none.
    this.#ofStreams = new Random(seed, 6);
    const streams = Array.from(
      { length: this.#ofStreams.pick([0, 0, 1, 2]) },
      (_, n) => new StreamBook(`s${n}`, this.#ofStreams.pick(streamKinds), model),
    );
    this.#host = { scheduler, disk: new SimDisk(coverage), random: new Random(seed, 2), trace, coverage };
    this.#world = {
      scheduler,
      model,
      streams,
      trace,
      coverage,
      history: new MemoryRecorder(),
      nextAppend: 1,
      nextMessage: 1,
      nextNonce: 1,
      displaced: false,
    };
    this.#workload = new Workload(new Random(seed, 3), new Random(seed, 7));
    const { root } = this.#host.disk;
    root.prepare('disk');
  }

  async run(): Promise<SeedResult> {
    const { model } = this.#world;
    const lives = this.#oneLife ? 0 : this.#random.between(3, 5);
    const share = this.#oneLife ? leastOperations : Math.ceil(leastOperations / lives);
    for (let life = 0; life < lives && !this.#broken; life++) {
      const ending = this.#random.weighted<Ending>({ power: 8, kill: 3, close: 3, fault: 4, full: 2 });
      this.#note(`life ${life}: ${ending}`);
      await this.#live(ending, this.#random.between(share, share + 30));
    }
    while (!this.#oneLife && this.#workload.operations < leastOperations && !this.#broken)
      await this.#live('power', share);
    if (!this.#broken) await this.#lastLife();
    if (!this.#broken) this.#secondJudge();
    const { trace, scheduler, coverage } = this.#host;
    return {
      seed: this.seed,
      violations: model.violations,
      operations: this.#workload.operations,
      steps: scheduler.steps,
      virtualMs: Math.floor(scheduler.nowUs / 1000),
      hash: trace?.hash ?? 0,
      last: trace?.last() ?? [],
      coverage,
    };
  }

  get #broken(): boolean {
    const { model } = this.#world;
    if (this.#host.scheduler.thrown !== null) {
      const thrown = this.#host.scheduler.thrown;
      model.violate(`threw: ${describeError(thrown)}`);
      this.#host.scheduler.thrown = null;
    }
    for (const misuse of this.#files?.misuse.splice(0) ?? []) model.violate(misuse);
    if (this.#host.scheduler.steps >= mostSteps) model.violate(`not at rest after ${mostSteps} steps`);
    return model.violations.length > 0;
  }

  #note(text: string): void {
    this.#host.trace?.line(`${this.#host.scheduler.nowUs} --- ${text}`);
  }

  // --- A life ---

  async #live(ending: Ending, operations: number): Promise<void> {
    const random = this.#random;
    const { coverage } = this.#world;
    // Spares of an earlier life are small, and are used first.
    const spares = [...this.#host.disk.sizes(dataDirectory).keys()].some((name) => name.startsWith('spare'));
    this.#roomy = ending === 'full' && !spares && random.chance(0.8);
    coverage.add(`life.${ending}${this.#roomy ? '-roomy' : ''}`);
    // Ends that strike while it opens, perhaps again and again.
    for (let n = 0; n < 3 && random.chance(0.25); n++) {
      const how = random.weighted({ power: 5, kill: 2, fault: 3 });
      this.#boot();
      if (how === 'fault') this.#armFault(random.chance(0.5) ? random.below(4) : random.below(25));
      else this.#crashStep = this.#host.scheduler.steps + (random.chance(0.5) ? random.below(12) : random.below(120));
      const opened = await this.#open();
      if (this.#broken) return;
      if (opened !== null) {
        coverage.add('open.under-fault-succeeded');
        // It came through: this is the life then.
        if (await this.#judge(opened)) await this.#work(ending, operations);
        return;
      }
      coverage.add(`open.struck-by-${how}`);
      if (how === 'fault') await this.#afterFailedOpen();
      else await this.#crash(how);
      if (this.#broken) return;
    }
    this.#boot();
    const topology = await this.#open();
    if (topology === null) {
      if (!this.#broken) this.#world.model.violate('open() failed without a fault');
      return;
    }
    if (await this.#judge(topology)) await this.#work(ending, operations);
  }

  /** A new process. */
  #boot(): void {
    const owner: Owner = { dead: false };
    const files = new SimFiles(this.#host, owner, new Faults(this.#host.coverage));
    files.called = (call) => this.#called(call);
    const clock = new SimClock(this.#host.scheduler, owner);
    const engine = this.#factory(files, clock, new Random(this.seed, 4), this.#roomy);
    this.#owner = owner;
    this.#files = files;
    engine.useGroupKeys(groupKeys);
    const client = new Client(this.#world, engine, owner);
    client.readsFailed = () =>
      files.faults.fired.some(({ call, code }) => code === 'EIO' && (call === 'read' || call === 'open'));
    if (this.#world.streams.length > 0 && engine.capabilities.streams)
      client.streams = new StreamReaders(client, this.#ofStreams);
    this.#client = client;
    this.#trigger = null;
    this.#crashStep = Infinity;
  }

  #called(call: FileCall): void {
    const trigger = this.#trigger;
    if (trigger === null || trigger.call !== call || trigger.skip-- > 0) return;
    this.#trigger = null;
    this.#crashStep = this.#host.scheduler.steps + trigger.delay;
  }

  /** Opens the engine. Null: it was rejected, or the crash struck. */
  async #open(): Promise<Topology | null> {
    const client = this.#client!;
    const { scheduler } = this.#host;
    this.#note('open');
    let topology: Topology | null = null;
    let ended = false;
    let reason: unknown = null;
    client.engine.open(client).then(
      (value) => {
        topology = value;
        ended = true;
      },
      (error: unknown) => {
        reason = error;
        ended = true;
      },
    );
    const how = await scheduler.drive(() => ended || this.#crashNow, scheduler.nowUs + patienceUs);
    if (how !== 'done') this.#world.model.violate(`open() did not end (${how})`);
    if (this.#crashNow && !ended) return null;
    const { fired } = this.#files!.faults;
    if (reason !== null) {
      this.#note(`open was rejected: ${describeError(reason, false)}`);
      this.#world.coverage.add(`open.rejected-${(reason as { code?: string }).code ?? 'error'}`);
      if (fired.length === 0) this.#world.model.violate(`open() was rejected: ${describeError(reason)}`);
      return null;
    }
    const ignored = fired.find(
      (fault) => fault.call === 'sync' || fault.call === 'append' || fault.call === 'syncDirectory',
    );
    if (ignored?.call === 'append') return this.#failsAtOnce();
    if (ignored !== undefined)
      this.#world.model.violate(`open() succeeded though a ${ignored.call} of ${ignored.path} failed`);
    return topology;
  }

  /** What was due while nobody was there becomes ready, and open() does not wait for that to be written: if it can't be, the engine fails. */
  async #failsAtOnce(): Promise<null> {
    const client = this.#client!;
    const { scheduler } = this.#host;
    const failed = (): boolean => client.failure !== null || this.#crashNow;
    const how = await scheduler.drive(failed, scheduler.nowUs + patienceUs);
    if (how !== 'done') this.#world.model.violate('an append failed as it opened, but the engine goes on');
    if (this.#crashNow) return null;
    let ended = false;
    const end = (): void => {
      ended = true;
    };
    client.closing = true;
    client.engine.close().then(end, end);
    if ((await scheduler.drive(() => ended, scheduler.nowUs + patienceUs)) !== 'done')
      this.#world.model.violate('close() of an engine that failed as it opened did not end');
    processEnded(client, true);
    return null;
  }

  get #crashNow(): boolean {
    return this.#host.scheduler.steps >= this.#crashStep;
  }

  /** After a rejected open nothing may be left behind in this process: the next open may be its own. */
  async #afterFailedOpen(): Promise<void> {
    const { scheduler } = this.#host;
    await scheduler.drive(() => false, scheduler.nowUs + 2_000_000);
    this.#checkLeaks('a failed open');
    this.#unclean = true;
    if (this.#random.chance(0.5)) this.#owner.dead = true;
  }

  #checkLeaks(after: string): void {
    const handles = [...this.#files!.handles].map((handle) => handle.path);
    if (handles.length > 0) this.#world.model.violate(`left open after ${after}: ${handles.join(', ')}`);
    const lock = this.#host.disk.locks.get(dataDirectory);
    // It is not given back where that very call fails, and goes with the process.
    const kept = this.#files!.faults.fired.some(({ call, path }) => call === 'close' && path.includes('(lock)'));
    if (kept) this.#owner.dead = true;
    else if (lock !== undefined && !lock.dead) this.#world.model.violate(`the lock is held after ${after}`);
  }

  /** Compares the engine with the model. False: the seed is over. */
  async #judge(topology: Topology): Promise<boolean> {
    const client = this.#client!;
    const { model } = this.#world;
    this.#note('judge');
    const { coverage } = this.#world;
    if (!this.#unclean && !this.#firstLife) coverage.add('life.reopened-after-close');
    const saved = { trigger: this.#trigger, crashStep: this.#crashStep };
    this.#trigger = null;
    this.#crashStep = Infinity;
    judgeTopology(client, topology);
    if (this.#broken) return false;
    const producers = new Map<string, ProducerState>();
    let state: KeyedValue[] = [];
    const messages = new Map<string, BrowsedMessage[]>();
    const stats = new Map<string, QueueStats>();
    const askedMs = this.#host.scheduler.nowMs();
    for (const name of model.producers.keys()) {
      client.wait(`producer ${name}`, client.engine.producer(name), (found) => producers.set(name, found));
    }
    client.wait('state', client.engine.state(''), (found) => {
      state = found;
    });
    for (const queue of model.queues) {
      client.browse(queue, 1_000_000, (found) => messages.set(queue.key, found));
      client.wait(`stats ${queue.key}`, client.engine.stats(client.handle(queue)), (found) =>
        stats.set(queue.key, found),
      );
    }
    for (const { key } of client.streams?.books ?? []) {
      const handle = client.engine.queue(key)!;
      client.wait(`read ${key}`, client.engine.read(handle, 0, Infinity), (found) => messages.set(key, found));
      client.wait(`stats ${key}`, client.engine.stats(handle), (found) => stats.set(key, found));
    }
    if (!(await this.#answered('the questions after a restart'))) return false;
    if (client.failure !== null) {
      await this.#afterFailure();
      return false;
    }
    if (client.damage.length > 0) {
      // A call of reading failed: the next life judges.
      coverage.add('life.damaged-by-fault');
      await this.#crash(this.#random.pick(['power', 'kill']));
      return false;
    }
    // Nothing goes by itself from these: before the books are closed, for what expires between the two questions is in them still.
    const lasting = model.queues.filter(
      (queue) =>
        Object.keys(queue.limits).every((name) => name === 'maxPriority' || name === 'groupBy') &&
        [...queue.copies.values()].every((copy) => copy.expiresAt === 0 && copy.dueAt === 0),
    );
    judgeRecovered(client, { topology, producers, state, messages, stats, askedMs });
    for (const queue of lasting) {
      const browsed = messages.get(queue.key)?.length ?? 0;
      if (stats.get(queue.key)?.ready !== browsed) {
        model.violate(
          `${queue.key} after restart: ${stats.get(queue.key)?.ready ?? 0} ready by stats, ${browsed} by browse`,
        );
      }
    }
    this.#trigger = saved.trigger;
    if (saved.crashStep !== Infinity) this.#crashStep = this.#host.scheduler.steps + this.#random.below(200);
    this.#firstLife = false;
    return !this.#broken;
  }

  /** Waits until nothing is under way. False: the seed is over. */
  async #answered(what: string): Promise<boolean> {
    const client = this.#client!;
    const { scheduler } = this.#host;
    const done = (): boolean =>
      (client.waiting.size === 0 && client.open.size === 0) || client.failure !== null || this.#crashNow;
    const how = await scheduler.drive(done, scheduler.nowUs + patienceUs);
    if (how !== 'done') {
      const open = [...client.open].map((unit) => `#${unit.serial}`);
      this.#world.model.violate(`${what}: not answered (${how}): ${[...client.waiting.values(), ...open].join(', ')}`);
    }
    return !this.#broken;
  }

  async #work(ending: Ending, operations: number): Promise<void> {
    const client = this.#client!;
    const random = this.#random;
    const { scheduler, disk } = this.#host;
    client.removalDelayMs = random.chance(0.3) ? random.below(200) : 0;
    client.handleRemovals();
    this.#workload.declare(client);
    if (ending === 'power' || ending === 'kill') this.#armCrash();
    if (ending === 'fault') this.#armFault(random.below(30));
    const fullFrom = ending === 'full' ? random.below(operations) : Infinity;
    const fullTo = fullFrom + random.between(5, 40);
    for (let n = 0; n < operations && client.failure === null && !this.#crashNow && !this.#broken; n++) {
      if (n === fullFrom) {
        this.#note('disk full');
        disk.freePages = 0;
        this.#world.coverage.add('fault.disk-full');
      }
      if (n === fullTo && !(await this.#makeSpace())) return;
      this.#workload.act(client);
      const pause = this.#workload.pauseUs();
      if (pause > 0) await scheduler.drive(() => client.failure !== null || this.#crashNow, scheduler.nowUs + pause);
    }
    if (this.#broken) return;
    if (disk.full && !this.#oneLife && client.failure === null && random.chance(0.4)) {
      await this.#crash(random.pick(['power', 'kill']));
      if (!this.#broken) await this.#startOnFullDisk();
      return;
    }
    if (disk.full && !(await this.#makeSpace())) return;
    if (!this.#oneLife) await this.#end(ending);
  }

  /** The start is refused for want of space; or what is there is served, for only that makes space, and all goes on once there is some. */
  async #startOnFullDisk(): Promise<void> {
    const { coverage } = this.#world;
    const random = this.#random;
    this.#boot();
    const client = this.#client!;
    const topology = await this.#open();
    if (topology === null) {
      coverage.add('open.refused-on-full-disk');
      if (!this.#broken) await this.#afterFailedOpen();
      this.#note('space again');
      this.#host.disk.freePages = Infinity;
      return;
    }
    coverage.add('open.on-full-disk');
    // It made do with little space, perhaps with less than this life settles.
    this.#roomy = false;
    if (!(await this.#judge(topology))) return;
    client.handleRemovals();
    for (let n = random.below(30); n > 0 && client.failure === null && !this.#broken; n--) {
      this.#workload.act(client);
      const pause = this.#workload.pauseUs();
      if (pause > 0)
        await this.#host.scheduler.drive(() => client.failure !== null, this.#host.scheduler.nowUs + pause);
    }
    if (this.#broken || !(await this.#makeSpace())) return;
    await this.#end(random.pick(['full', 'power', 'kill', 'close']));
  }

  /** Settlements must have gone on while the disk was full; then there is space again, and publishing must go on too. */
  async #makeSpace(): Promise<boolean> {
    const client = this.#client!;
    const { scheduler, disk } = this.#host;
    // The journal is one: what stands behind a batch that is larger than the space left, and was taken before that was known, waits with it.
    const large = [...client.open].filter((unit) => client.large.has(unit));
    const settling = [...client.settlesUnderWay].filter((unit) => large.every((other) => other.serial > unit.serial));
    if (this.#roomy) {
      this.#world.coverage.add('judged.settlements-while-full', settling.length);
      await scheduler.drive(
        () => client.failure !== null || settling.every((unit) => !client.settlesUnderWay.has(unit)),
        scheduler.nowUs + 10_000_000,
      );
      if (client.failure === null && settling.some((unit) => client.settlesUnderWay.has(unit))) {
        this.#world.model.violate('settlements wait while the disk is full');
      }
    }
    this.#note('space again');
    disk.freePages = Infinity;
    if (client.failure !== null) return true;
    if (!(await this.#answered('after the disk was full'))) return false;
    if (client.blockedNow && client.failure === null) {
      await scheduler.drive(() => !client.blockedNow || client.failure !== null, scheduler.nowUs + patienceUs);
      if (client.blockedNow && client.failure === null)
        this.#world.model.violate('blocked although there is space again');
    }
    return !this.#broken;
  }

  #armCrash(): void {
    const random = this.#random;
    if (random.chance(0.4)) {
      this.#crashStep = this.#host.scheduler.steps + random.below(1500);
      return;
    }
    const call = random.weighted<FileCall>({
      makeDirectory: 0,
      list: 0,
      lock: 0,
      open: 1,
      create: 5,
      rename: 4,
      unlink: 4,
      syncDirectory: 5,
      read: 1,
      write: 3,
      append: 6,
      sync: 5,
      truncate: 2,
      size: 0,
      close: 1,
    });
    this.#trigger = { call, skip: random.below(call === 'append' ? 60 : 8), delay: random.pick([0, 0, 1, 1, 2, 3, 5]) };
  }

  #armFault(skip: number): void {
    const random = this.#random;
    const call = random.pick(Object.keys(faultCodes) as FileCall[]);
    const code = random.pick(faultCodes[call]);
    this.#note(`arm ${call} ${code} after ${skip}`);
    const often = call === 'append' || call === 'read' || call === 'write';
    this.#files!.faults.arm(call, code, often ? skip : Math.floor(skip / 6), code === 'EIO' ? 1 : random.between(1, 3));
  }

  // --- Ends ---

  async #end(ending: Ending): Promise<void> {
    const client = this.#client!;
    const random = this.#random;
    if (client.failure !== null) return this.#afterFailure();
    if (ending === 'close' || ((ending === 'fault' || ending === 'full') && random.chance(0.4))) {
      if (ending !== 'close' || random.chance(0.5)) {
        if (!(await this.#answered('before a close'))) return;
      }
      if (client.failure !== null) return this.#afterFailure();
      return this.#close();
    }
    if (ending === 'power' || ending === 'kill') {
      await this.#crash(ending);
      return;
    }
    this.#checkFaultsWereFatal();
    await this.#crash(random.pick(['power', 'power', 'kill']));
  }

  /** A failed sync or write of the journal must have ended the engine, if it had time to notice. */
  #checkFaultsWereFatal(): void {
    if (this.#client!.failure !== null) return;
    const { fired } = this.#files!.faults;
    // A checkpoint that could not be synced is no checkpoint; of the journal itself nothing is known any more.
    const fatal = fired.find(
      (fault) =>
        fault.code === 'EIO' &&
        (fault.call === 'append' || (fault.call === 'sync' && /\.seg/.test(fault.path))) &&
        fault.step + 400 < this.#host.scheduler.steps,
    );
    if (fatal !== undefined)
      this.#world.model.violate(`a ${fatal.call} of ${fatal.path} failed, but the engine goes on`);
  }

  async #close(): Promise<void> {
    const client = this.#client!;
    const { scheduler } = this.#host;
    this.#note('close');
    client.closing = true;
    let ended = false;
    let reason: unknown = null;
    client.engine.close().then(
      () => {
        ended = true;
      },
      (error: unknown) => {
        ended = true;
        reason = error;
      },
    );
    const how = await scheduler.drive(() => ended, scheduler.nowUs + patienceUs);
    if (how !== 'done') this.#world.model.violate(`close() did not end (${how})`);
    const faulty = this.#files!.faults.fired.length > 0;
    if (reason !== null && !faulty) this.#world.model.violate(`close() was rejected: ${describeError(reason)}`);
    if (client.failure === null && reason === null) {
      this.#checkFaultsWereFatal();
      const open = [...client.open].map((unit) => `#${unit.serial}`);
      if (open.length > 0) this.#world.model.violate(`closed, but never answered: ${open.join(', ')}`);
    }
    if (!faulty || client.failure === null) this.#checkLeaks('a close');
    this.#unclean = client.failure !== null || reason !== null;
    processEnded(client, this.#unclean);
    // The application may live on; nothing of the engine may.
    if (this.#random.chance(0.7)) this.#owner.dead = true;
  }

  async #afterFailure(): Promise<void> {
    const client = this.#client!;
    const { scheduler } = this.#host;
    const { fired } = this.#files!.faults;
    this.#note(`failed: ${client.failure!.message}`);
    this.#world.coverage.add('life.engine-failed');
    const spaceOnly = fired.every((fault) => fault.code === 'ENOSPC');
    if (fired.length === 0 || spaceOnly) {
      this.#world.model.violate(
        `the engine failed ${spaceOnly && fired.length > 0 ? 'for want of space' : 'without a fault'}: ${client.failure!.stack!}`,
      );
    }
    const how = await scheduler.drive(
      () => client.open.size === 0 && client.waiting.size === 0,
      scheduler.nowUs + patienceUs,
    );
    if (how !== 'done') {
      const open = [...client.open].map((unit) => `#${unit.serial}`);
      this.#world.model.violate(`failed, but never answered: ${[...client.waiting.values(), ...open].join(', ')}`);
    }
    let ended = false;
    client.closing = true;
    const end = (): void => {
      ended = true;
    };
    client.engine.close().then(end, end);
    if ((await scheduler.drive(() => ended, scheduler.nowUs + patienceUs)) !== 'done')
      this.#world.model.violate('close() of a failed engine did not end');
    this.#checkLeaks('a failure and close()');
    await this.#crash(this.#random.pick(['power', 'kill', 'none']));
  }

  /** The process is gone, and with the power what was not synced. `none`: the process lives, its engine is gone. */
  async #crash(how: 'power' | 'kill' | 'none'): Promise<void> {
    await this.#host.scheduler.settle();
    const { disk, random, coverage } = this.#host;
    this.#note(`crash: ${how}`);
    if (how !== 'none') this.#owner.dead = true;
    for (const path of this.#files!.underWay()) coverage.add(`crash.during-${path.replace(/\d+/g, '#')}`);
    if (how === 'power') disk.powerCut(random);
    else if (how === 'kill') disk.kill(random);
    processEnded(this.#client!, true);
    this.#unclean = true;
    this.#crashStep = Infinity;
  }

  // --- The end of the seed ---

  async #lastLife(): Promise<void> {
    this.#note('last life');
    this.#roomy = false;
    this.#boot();
    const topology = await this.#open();
    if (topology === null) {
      if (!this.#broken) this.#world.model.violate('open() failed without a fault');
      return;
    }
    if (!(await this.#judge(topology))) return;
    const client = this.#client!;
    const { scheduler } = this.#host;
    const { model } = this.#world;
    if (this.#oneLife) {
      await this.#work('full', leastOperations);
      if (this.#broken) return;
      for (const one of [...client.sessions]) client.release(one);
    } else {
      client.handleRemovals();
    }
    const session = client.session();
    for (const queue of model.queues) {
      client.subscribe(queue, session, { credit: Infinity, noAck: false, afterSync: false, priority: 0 }, () => false);
    }
    await this.#endStreams();
    if (this.#broken) return;
    // Everything that may still come is acknowledged; until nothing is owed.
    const owed = (): boolean => model.queues.some((queue) => this.#owes(queue));
    const deadline = scheduler.nowUs + patienceUs;
    while (scheduler.nowUs < deadline) {
      await scheduler.drive(() => false, scheduler.nowUs + 20_000);
      if (this.#broken || client.failure !== null) break;
      this.#settleAll(client, session);
      if (!owed() && client.open.size === 0) break;
    }
    if (client.failure !== null) model.violate(`the engine failed without a fault: ${client.failure.message}`);
    for (const queue of model.queues) {
      for (const copy of queue.copies.values())
        if (this.#isOwed(queue, copy)) model.violate(`append ${copy.appendId} was never delivered from ${queue.key}`);
    }
    if (this.#broken || !(await this.#answered('after draining'))) return;
    // What nobody is owed any more may still be waiting for its time.
    const lastDue = Math.max(
      0,
      ...model.queues.flatMap((queue) => [...queue.copies.values()].map(({ dueAt }) => dueAt)),
    );
    const waitsUs = Math.max(0, lastDue - scheduler.nowMs()) * 1000;
    await scheduler.drive(() => false, scheduler.nowUs + waitsUs + idleUs);
    this.#settleAll(client, session);
    if (!(await this.#answered('after draining'))) return;
    await this.#checkEmpty();
    if (this.#broken) return;
    await scheduler.drive(() => false, scheduler.nowUs + idleUs);
    await this.#close();
    if (this.#broken || this.#oneLife) return;
    this.#owner.dead = true;
    this.#boot();
    const again = await this.#open();
    if (again === null || this.#broken) return;
    await this.#judge(again);
    if (this.#broken) return;
    await this.#checkEmpty();
    await scheduler.drive(() => false, scheduler.nowUs + idleUs);
    this.#checkDisk();
    await this.#close();
    this.#owner.dead = true;
  }

  /** Each is read from its beginning to its end, and deleted: it would keep its segments. */
  async #endStreams(): Promise<void> {
    const client = this.#client!;
    const { scheduler } = this.#host;
    if (client.streams === null) return;
    const all = client.streams.readAll();
    if ((await scheduler.drive(() => all() || client.failure !== null, scheduler.nowUs + patienceUs)) !== 'done')
      this.#world.model.violate('a stream was not read to its end');
    client.streams.delete();
    await this.#answered('after the streams were deleted');
    for (const book of this.#world.streams) book.declared = false;
  }

  #isOwed(queue: ModelQueue, copy: ReturnType<ModelQueue['copies']['get']> & object): boolean {
    if (copy.removal?.maybe === true || copy.holder !== null) return false;
    if (queue.limits.handOverRemoved === true) return true;
    return queue.removable(copy, this.#host.scheduler.nowMs()) === null;
  }

  #owes(queue: ModelQueue): boolean {
    for (const copy of queue.copies.values()) if (copy.holder !== null || this.#isOwed(queue, copy)) return true;
    return false;
  }

  #settleAll(client: Client, session: ReturnType<Client['session']>): void {
    if (session.held.size === 0) return;
    const batch = client.begin(false);
    for (const copy of [...session.held]) batch.settle(session, copy.queue, [copy], 'ack');
    batch.commit();
  }

  async #checkEmpty(): Promise<void> {
    const client = this.#client!;
    for (const queue of this.#world.model.queues) {
      const left = [...queue.copies.values()].filter((copy) => this.#isOwed(queue, copy)).length;
      client.wait(`stats ${queue.key}`, client.engine.stats(client.handle(queue)), (stats) => {
        const { ready, unacked, readyBytes, delayed } = stats;
        if (ready !== 0 || unacked !== 0 || readyBytes !== 0 || delayed !== 0 || left !== 0) {
          this.#world.model.violate(
            `${queue.key} after draining: ready ${ready}, unacked ${unacked}, bytes ${readyBytes}, delayed ${delayed}, owed ${left}`,
          );
        }
      });
    }
    await this.#answered('the stats after draining');
  }

  #checkDisk(): void {
    const sizes = this.#host.disk.sizes(dataDirectory);
    const segments = [...sizes.keys()].filter((name) => name.startsWith('journal-')).length;
    this.#world.coverage.add(`disk-left.${segments}-segments`);
    this.#world.coverage.add(`disk-left.${sizes.size}-files`);
    if (sizes.size > mostFilesLeft || segments > mostSegmentsLeft) {
      const list = [...sizes].map(([name, size]) => `${name} ${size}`).join(', ');
      this.#world.model.violate(`the disk did not shrink: ${list}`);
    }
  }

  /** The same history, judged by what judges real brokers. */
  #secondJudge(): void {
    const { history, model } = this.#world;
    for (const queue of model.queues) {
      for (const copy of queue.copies.values()) {
        history.removed(this.#client!.historyName(queue), historyId('all', 0, copy.appendId), 'expired', {
          maybe: true,
        });
      }
    }
    const verdict = check(history.events, 'at-least-once', {
      minimums: NO_MINIMUMS,
      synchronous: true,
      everySettled: true,
      injected: false,
      keep: 2,
    });
    const { reordered, ...others } = verdict.rules;
    const broken =
      verdict.verdict !== 'held' &&
      (reordered === 0 || !this.#world.displaced || Object.values(others).some((times) => times > 0));
    if (!broken) return;
    model.violate(
      `history checker: ${verdict.verdict}: ${verdict.reasons.join('; ')}\n${verdict.violations.map((one) => `${one.sentence}\n  ${one.seen.map((event) => JSON.stringify(event)).join('\n  ')}`).join('\n')}`,
    );
  }
}

function describeError(error: unknown, stack = true): string {
  if (!(error instanceof Error)) return JSON.stringify(error);
  return (stack ? error.stack : undefined) ?? `${error.name}: ${error.message}`;
}

/** Up to twelve files of checkpoints, each with pages that did not change since. */
const mostFilesLeft = 20;
const mostSegmentsLeft = 6;

export function simulate(seed: number, factory: EngineFactory, options: SeedOptions = {}): Promise<SeedResult> {
  return new SeedRun(seed, factory, options).run();
}
