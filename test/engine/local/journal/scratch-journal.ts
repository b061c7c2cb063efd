/** A journal in a directory of its own, made by the engine with sizes so small that a few messages fill segments. */
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../../../src/engine/clock.ts';
import type { CommitReceiver, EngineListener, EngineQueue } from '../../../../src/engine/engine.ts';
import type { EngineError } from '../../../../src/engine/errors.ts';
import { localEngine, type LocalEngine, type LocalEngineOptions } from '../../../../src/engine/local/index.ts';
import { segmentName } from '../../../../src/engine/local/journal/segment-file.ts';
import { scanSegment, type ScannedPiece } from '../../../../src/engine/local/journal/segment-scan.ts';

const KiB = 1024;

export const smallSizes = {
  windowBytes: 8 * KiB,
  blockBytes: 4 * KiB,
  firstSegmentBytes: 8 * KiB,
  segmentBytes: 8 * KiB,
  checkpointBytes: 64 * KiB,
  spareSegments: 1,
  reserveBytes: 4 * KiB,
  sparseShare: 0,
  scrubIntervalMs: 0,
} as const;

export class ScratchJournal {
  readonly directory: string;
  readonly notices: string[] = [];
  readonly damages: { readonly queue: string; readonly message: string }[] = [];
  engine!: LocalEngine;

  constructor(directory: string) {
    this.directory = directory;
  }

  static async make(): Promise<ScratchJournal> {
    return new ScratchJournal(await mkdtemp(join(tmpdir(), 'postrider-journal-')));
  }

  async open(options: LocalEngineOptions = {}): Promise<void> {
    this.engine = localEngine(this.directory, { ...smallSizes, ...options });
    const ignore = (): void => undefined;
    const listener: EngineListener = {
      failed: ignore,
      blocked: ignore,
      unblocked: ignore,
      behind: ignore,
      caughtUp: ignore,
      leaseLost: ignore,
      damaged: (queue: EngineQueue, error: EngineError) =>
        this.damages.push({ queue: queue.key, message: error.message }),
      notice: (line: string) => this.notices.push(line),
    };
    await this.engine.open(listener);
  }

  async declare(...keys: string[]): Promise<void> {
    await this.engine.change(
      keys.map((key) => ({ op: 'put-queue', queue: { key, durable: true, limits: {}, value: null } })),
    );
  }

  /** Publishes `count` messages of `bytes` each, each in a group of its own. */
  async publish(key: string, count: number, bytes = 200): Promise<void> {
    const targets = this.engine.targets([this.engine.queue(key)!], Buffer.from('envelope'));
    for (let n = 0; n < count; n++) {
      const body = Buffer.alloc(bytes, `${key} ${n} `);
      await new Promise<void>((resolve, reject) => {
        const receiver: CommitReceiver<null> = { committed: () => resolve(), failed: (_, error) => reject(error) };
        const batch = this.engine.begin();
        batch.append(targets, {
          head: body,
          envelopeStart: 0,
          envelopeEnd: 0,
          propertiesStart: 0,
          propertiesEnd: 0,
          body,
          bodyStart: 0,
          bodyEnd: body.length,
          expiresAt: 0,
          priority: 0,
          dueAt: 0,
          identity: null,
        });
        batch.commit(receiver, null);
      });
    }
  }

  purge(key: string): Promise<number> {
    return this.engine.purge(this.engine.queue(key)!);
  }

  path(file: string): string {
    return join(this.directory, file);
  }

  async files(pattern: RegExp): Promise<string[]> {
    return (await readdir(this.directory)).filter((name) => pattern.test(name)).sort();
  }

  /** Segments that have groups, with what lies in them. */
  async segments(): Promise<{ readonly id: number; readonly file: string; readonly groups: ScratchGroup[] }[]> {
    const all = [];
    for (const file of await this.files(/^journal-\d+\.seg$/)) {
      const id = Number(/\d+/.exec(file)![0]);
      const groups = [...scanSegment(await readFile(this.path(file)), id)].filter((piece) => piece.kind === 'group');
      if (groups.length > 0) all.push({ id, file: segmentName(id), groups });
    }
    return all;
  }

  async change(file: string, change: (bytes: Buffer) => Buffer): Promise<void> {
    await writeFile(this.path(file), change(await readFile(this.path(file))));
  }

  flip(file: string, at: number): Promise<void> {
    return this.change(file, (bytes) => {
      bytes[at]! ^= 0x10;
      return bytes;
    });
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

export type ScratchGroup = Extract<ScannedPiece, { kind: 'group' }>;

/** Where the first run of a group lies. */
export const firstRun = (group: ScratchGroup): number => group.from + 48;

/** A clock whose timers run when told; each is known by its delay. */
export class HandClock implements Clock {
  #waiting: { readonly delayMs: number; readonly task: () => void }[] = [];

  now(): number {
    return Date.now();
  }

  defer(task: () => void): void {
    setImmediate(task);
  }

  after(delayMs: number, task: () => void): { cancel: () => void } {
    const timer = { delayMs, task };
    this.#waiting.push(timer);
    return { cancel: () => void (this.#waiting = this.#waiting.filter((other) => other !== timer)) };
  }

  /** The delays of those that wait. */
  get delays(): number[] {
    return this.#waiting.map(({ delayMs }) => delayMs);
  }

  waits(delayMs: number): boolean {
    return this.#waiting.some((timer) => timer.delayMs === delayMs);
  }

  /** Runs what waits. */
  ring(): void {
    const due = this.#waiting;
    this.#waiting = [];
    for (const { task } of due) task();
  }
}
