import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Contender, Running } from './broker.ts';
import { describeMachine, filesystemOf, flushDisk, isInMemory } from './machine.ts';
import { untilQuiet } from './process-stats.ts';
import { judgeRow, type BenchResult, type RowResult } from './result.ts';
import type { Suite } from './suite.ts';
import type { ComparedRow, Row, Sample, SoloRow } from './row.ts';

export interface BenchPlan<R extends Running> extends Suite<R> {
  quick: boolean;
  rounds: number;
  seconds: number;
  warmupSeconds: number;
  /** Messages and connections of the long rows. */
  messages: number;
  connections: number;
  /** Long rows run on the subject alone unless this is set. */
  longRowsForAll: boolean;
  /** Where brokers keep their data; by default the system's folder for temporary files, if that is on a disk. */
  dataDir?: string;
  signal: AbortSignal;
}

export interface BenchProgress {
  note(text: string): void;
  /** What runs now; overwritten by the next on a terminal. */
  step(text: string): void;
  row(result: RowResult): void;
}

/** Runs the rows: the compared ones turn by turn on brokers that stay up, then the long ones, each on a broker of its own. */
export async function runBench<R extends Running>(plan: BenchPlan<R>, progress: BenchProgress): Promise<BenchResult> {
  const parent = plan.dataDir ?? diskFolder();
  await mkdir(parent, { recursive: true });
  const workDir = await mkdtemp(join(parent, 'postrider-bench-'));
  const bench = new Bench(plan, progress, workDir);
  try {
    return await bench.run();
  } finally {
    await bench.stopAll();
    await rm(workDir, { recursive: true, force: true });
  }
}

/** `/tmp` is in memory on many systems; there `/var/tmp` is a disk. */
function diskFolder(): string {
  return isInMemory(filesystemOf(tmpdir())) ? '/var/tmp' : tmpdir();
}

class Bench<R extends Running> {
  readonly #plan: BenchPlan<R>;
  readonly #progress: BenchProgress;
  readonly #workDir: string;
  readonly #brokers = new Map<string, R>();
  /** Every broker that was started and not stopped yet, those of the long rows too. */
  readonly #started = new Set<R>();
  readonly #versions = new Map<string, string>();
  readonly #rows: RowResult[] = [];
  #folders = 0;

  constructor(plan: BenchPlan<R>, progress: BenchProgress, workDir: string) {
    this.#plan = plan;
    this.#progress = progress;
    this.#workDir = workDir;
  }

  async run(): Promise<BenchResult> {
    const plan = this.#plan;
    const machine = describeMachine(this.#workDir);
    if (isInMemory(machine.filesystem)) {
      this.#progress.note(
        `the data lies on ${machine.filesystem}, in memory: syncs cost nothing here. Choose a disk with --data DIR`,
      );
    }
    const date = new Date().toISOString();
    const compared = plan.rows.filter((row) => row.kind === 'compared');
    const solo = plan.rows.filter((row) => row.kind === 'solo');
    for (const row of compared) await this.#compare(row);
    await this.stopAll();
    for (const row of solo) await this.#alone(row);
    return {
      format: 1,
      title: plan.title,
      reference: plan.reference,
      date,
      machine,
      settings: {
        quick: plan.quick,
        rounds: plan.rounds,
        seconds: plan.seconds,
        warmupSeconds: plan.warmupSeconds,
        messages: plan.messages,
      },
      contenders: plan.contenders.map(({ name }) => ({ name, version: this.#versions.get(name) ?? '' })),
      rows: this.#rows,
    };
  }

  async stopAll(): Promise<void> {
    const brokers = [...this.#started];
    this.#brokers.clear();
    this.#started.clear();
    await Promise.all(brokers.map((broker) => broker.stop()));
  }

  async #compare(row: ComparedRow<R>): Promise<void> {
    const { rounds, seconds, warmupSeconds, contenders, signal } = this.#plan;
    const timing = { warmupMs: warmupSeconds * 1000, measuredMs: seconds * 1000 };
    const done: RowResult['rounds'] = [];
    // The subject comes last in each round: whatever the reference leaves behind in caches is to the reference's favour.
    const order = [...contenders].reverse();
    for (let round = 1; round <= rounds; round++) {
      for (const contender of order) {
        signal.throwIfAborted();
        this.#progress.step(`${row.id}  round ${round} of ${rounds}  ${contender.name}`);
        done.push(
          await this.#attempt(contender, round, async () => {
            const broker = await this.#up(contender);
            flushDisk();
            await untilQuiet([...this.#brokers.values()].flatMap(({ pid }) => (pid === undefined ? [] : [pid])));
            signal.throwIfAborted();
            return row.run(broker, timing);
          }),
        );
      }
    }
    this.#finish(row, done);
  }

  async #alone(row: SoloRow<R>): Promise<void> {
    const { contenders, longRowsForAll, messages, connections, signal } = this.#plan;
    const done: RowResult['rounds'] = [];
    for (const contender of longRowsForAll ? contenders : contenders.slice(0, 1)) {
      signal.throwIfAborted();
      const { name, start } = contender;
      if (start === undefined) {
        this.#progress.note(
          `${row.id}: left out for ${name}, because it needs a broker that the benchmark starts itself`,
        );
        continue;
      }
      const workDir = join(this.#workDir, `alone-${++this.#folders}`);
      await mkdir(workDir);
      this.#progress.step(`${row.id}  ${name}`);
      const progress = (text: string): void => this.#progress.step(`${row.id}  ${name}  ${text}`);
      const tracked = { name, start: (dataDir: string) => this.#tracked(start(dataDir), name) };
      done.push(
        await this.#attempt(contender, 1, () => {
          flushDisk();
          return row.run({ contender: tracked, workDir, messages, connections, progress });
        }),
      );
      await rm(workDir, { recursive: true, force: true });
    }
    if (done.length > 0) this.#finish(row, done);
  }

  async #attempt(
    { name }: Contender<R>,
    round: number,
    work: () => Promise<Sample>,
  ): Promise<RowResult['rounds'][number]> {
    try {
      return { contender: name, round, sample: await this.#abortable(work()) };
    } catch (cause) {
      this.#plan.signal.throwIfAborted();
      const error = cause instanceof Error ? cause.message : String(cause);
      // A broker that failed a round may be gone or in disorder; the next round gets a new one.
      const broker = this.#brokers.get(name);
      this.#brokers.delete(name);
      await broker?.stop().catch(() => undefined);
      return { contender: name, round, error };
    }
  }

  async #abortable<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#plan;
    let stop: () => void = () => undefined;
    const aborted = new Promise<never>((_, reject) => {
      stop = () => {
        reject(new Error('interrupted'));
      };
      signal.addEventListener('abort', stop, { once: true });
    });
    try {
      return await Promise.race([work, aborted]);
    } finally {
      signal.removeEventListener('abort', stop);
      // After an abort nobody waits for the work any more.
      work.catch(() => undefined);
    }
  }

  async #up({ name, start, attach }: Contender<R>): Promise<R> {
    const running = this.#brokers.get(name);
    if (running !== undefined) return running;
    this.#progress.step(`starting ${name}`);
    const opened = start === undefined ? attach?.() : start(join(this.#workDir, `${name}-${++this.#folders}`));
    if (opened === undefined) throw new Error(`${name} has neither a program nor an address`);
    const broker = await this.#tracked(opened, name);
    this.#brokers.set(name, broker);
    return broker;
  }

  async #tracked(opened: Promise<R>, name: string): Promise<R> {
    const broker = await opened;
    this.#started.add(broker);
    if (broker.version !== '') this.#versions.set(name, broker.version);
    return broker;
  }

  #finish(row: Row<R>, done: RowResult['rounds']): void {
    const result = judgeRow(row, this.#plan.contenders[0]?.name ?? '', this.#plan.reference, done);
    this.#rows.push(result);
    this.#progress.row(result);
  }
}
