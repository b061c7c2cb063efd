/** A simulated process on a disk of its own, without anything that goes wrong by itself. */
import type { EngineListener, EngineQueue } from '../../src/engine/engine.ts';
import { Coverage } from './coverage.ts';
import { Faults } from './faults.ts';
import { Random } from './random.ts';
import { type Owner, Scheduler } from './scheduler.ts';
import { SimClock } from './sim-clock.ts';
import { SimDisk } from './sim-disk.ts';
import { SimFiles } from './sim-files.ts';
import { dataDirectory } from './simulation.ts';

/** The files of a directory, by name. */
export type Image = ReadonlyMap<string, Buffer>;

export class Machine {
  readonly scheduler = new Scheduler();
  readonly disk: SimDisk;
  readonly owner: Owner = { dead: false };
  readonly files: SimFiles;
  readonly clock: SimClock;
  readonly told: string[] = [];

  constructor(image: Image | null) {
    const coverage = new Coverage();
    this.disk = new SimDisk(coverage);
    this.disk.root.prepare('disk');
    if (image !== null) this.disk.load(dataDirectory, image);
    const host = { scheduler: this.scheduler, disk: this.disk, random: new Random(1), trace: null, coverage };
    this.files = new SimFiles(host, this.owner, new Faults(coverage));
    this.clock = new SimClock(this.scheduler, this.owner);
  }

  async do<T>(promise: Promise<T>): Promise<T> {
    let ended = false;
    const end = (): void => {
      ended = true;
    };
    promise.then(end, end);
    // An engine that reads the same place again and again would never come to an end.
    const how = await this.scheduler.drive(() => ended, this.scheduler.nowUs + 60_000_000, 5_000);
    if (how !== 'done') throw new Error(`the engine does not answer (${how})`);
    return promise;
  }

  readonly listener: EngineListener = {
    failed: (error) => this.told.push(`failed: ${error.message}`),
    blocked: () => {},
    unblocked: () => {},
    behind: () => {},
    caughtUp: () => {},
    leaseLost: () => {},
    damaged: (_queue: EngineQueue, error) => this.told.push(`damaged: ${error.code} ${error.message}`),
    notice: (line) => this.told.push(`notice: ${line}`),
  };
}
