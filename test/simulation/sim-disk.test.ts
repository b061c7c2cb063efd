import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FileHandle } from '../../src/engine/local/journal/files.ts';
import { Coverage } from './coverage.ts';
import { Faults } from './faults.ts';
import { Random } from './random.ts';
import { type Owner, Scheduler } from './scheduler.ts';
import { SimDisk } from './sim-disk.ts';
import { SimFiles } from './sim-files.ts';

class Machine {
  readonly scheduler = new Scheduler();
  readonly coverage = new Coverage();
  readonly disk = new SimDisk(this.coverage);
  readonly random: Random;
  owner: Owner = { dead: false };
  faults = new Faults(this.coverage);
  files: SimFiles;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.disk.root.prepare('d');
    this.files = this.#boot();
  }

  #boot(): SimFiles {
    const { scheduler, disk, random, coverage } = this;
    this.owner = { dead: false };
    this.faults = new Faults(coverage);
    return new SimFiles({ scheduler, disk, random, coverage, trace: null }, this.owner, this.faults);
  }

  /** Runs until the promise is answered. */
  async do<T>(promise: Promise<T>): Promise<T> {
    let ended = false;
    const end = (): void => {
      ended = true;
    };
    promise.then(end, end);
    await this.scheduler.drive(() => ended, Infinity);
    return promise;
  }

  append(handle: FileHandle, bytes: Buffer, position: number, sync: boolean): Promise<void> {
    return this.do(
      new Promise((resolve, reject) => {
        handle.append(bytes, 0, bytes.length, position, sync, (error) => {
          if (error === null) resolve();
          else reject(error);
        });
      }),
    );
  }

  powerCut(): void {
    this.owner.dead = true;
    this.disk.powerCut(this.random);
    this.files = this.#boot();
  }

  kill(): void {
    this.owner.dead = true;
    this.disk.kill(this.random);
    this.files = this.#boot();
  }

  async create(path: string, bytes: Buffer): Promise<FileHandle> {
    const handle = await this.do(this.files.open(path, 'create'));
    await this.do(handle.write(bytes, 0, bytes.length, 0));
    return handle;
  }

  async read(path: string): Promise<Buffer | null> {
    let handle: FileHandle;
    try {
      handle = await this.do(this.files.open(path, 'read'));
    } catch {
      return null;
    }
    const bytes = Buffer.alloc(await this.do(handle.size()));
    await this.do(handle.read(bytes, 0, bytes.length, 0));
    return bytes;
  }
}

const old = Buffer.alloc(3000, 1);
const fresh = Buffer.alloc(3000, 2);
const seeds = Array.from({ length: 60 }, (_, seed) => seed);

/** The set of what came out over all seeds. */
async function outcomes(run: (machine: Machine) => Promise<string>): Promise<Set<string>> {
  const found = new Set<string>();
  for (const seed of seeds) found.add(await run(new Machine(seed)));
  return found;
}

function kindOf(bytes: Buffer | null): string {
  if (bytes === null) return 'no file';
  if (bytes.length === 0) return 'empty';
  if (bytes.equals(old)) return 'old';
  if (bytes.equals(fresh)) return 'new';
  return 'torn';
}

async function settled(machine: Machine): Promise<FileHandle> {
  const handle = await machine.create('/d/f', old);
  await machine.do(handle.sync());
  await machine.do(machine.files.syncDirectory('/d'));
  return handle;
}

describe('simulated disk', () => {
  it('keeps what was synced, with its directory, through a power cut', async () => {
    const found = await outcomes(async (machine) => {
      await settled(machine);
      machine.powerCut();
      return kindOf(await machine.read('/d/f'));
    });
    assert.deepEqual([...found], ['old']);
  });

  it('keeps, loses or tears a write that was not synced', async () => {
    const found = await outcomes(async (machine) => {
      const handle = await settled(machine);
      await machine.do(handle.write(fresh, 0, fresh.length, 0));
      assert.equal(kindOf(await machine.read('/d/f')), 'new', 'a read sees it before the cut');
      machine.powerCut();
      return kindOf(await machine.read('/d/f'));
    });
    assert.deepEqual([...found].sort(), ['new', 'old', 'torn']);
  });

  it('keeps a write that was not synced when only the process dies', async () => {
    const found = await outcomes(async (machine) => {
      const handle = await settled(machine);
      await machine.do(handle.write(fresh, 0, fresh.length, 0));
      machine.kill();
      return kindOf(await machine.read('/d/f'));
    });
    assert.deepEqual([...found], ['new']);
  });

  it('may lose at a second cut what a killed process left unsynced', async () => {
    const found = await outcomes(async (machine) => {
      const handle = await settled(machine);
      await machine.do(handle.write(fresh, 0, fresh.length, 0));
      machine.kill();
      assert.equal(kindOf(await machine.read('/d/f')), 'new');
      machine.powerCut();
      return kindOf(await machine.read('/d/f'));
    });
    assert.ok(found.has('old'));
  });

  it('loses or keeps a name whose directory was not synced, with its bytes synced', async () => {
    const found = await outcomes(async (machine) => {
      const handle = await machine.create('/d/f', old);
      await machine.do(handle.sync());
      machine.powerCut();
      return kindOf(await machine.read('/d/f'));
    });
    assert.deepEqual([...found].sort(), ['no file', 'old']);
  });

  it('undoes or keeps a rename, never half of it', async () => {
    const found = await outcomes(async (machine) => {
      await settled(machine);
      const next = await machine.create('/d/g', fresh);
      await machine.do(next.sync());
      await machine.do(machine.files.syncDirectory('/d'));
      await machine.do(machine.files.rename('/d/g', '/d/f'));
      machine.powerCut();
      return `${kindOf(await machine.read('/d/f'))}, ${kindOf(await machine.read('/d/g'))}`;
    });
    assert.deepEqual([...found].sort(), ['new, no file', 'old, new']);
  });

  it('makes a synced append durable, and only that', async () => {
    const found = await outcomes(async (machine) => {
      const handle = await settled(machine);
      await machine.do(handle.write(fresh, 0, 1000, 0));
      await machine.append(handle, fresh, 3000, true);
      machine.powerCut();
      const bytes = (await machine.read('/d/f'))!;
      assert.ok(bytes.subarray(3000).equals(fresh), 'the append is there');
      return bytes.subarray(0, 1000).equals(fresh.subarray(0, 1000)) ? 'new' : 'not new';
    });
    assert.deepEqual([...found].sort(), ['new', 'not new']);
  });

  it('does not let an older unsynced write come over a newer durable one', async () => {
    for (const seed of seeds) {
      const machine = new Machine(seed);
      const handle = await settled(machine);
      await machine.do(handle.write(Buffer.alloc(8192), 0, 8192, 0));
      await machine.append(handle, fresh, 0, true);
      machine.powerCut();
      assert.ok((await machine.read('/d/f'))!.subarray(0, 3000).equals(fresh));
    }
  });

  it('forgets after a failed sync what reads still see, and no later sync brings it', async () => {
    const found = await outcomes(async (machine) => {
      const handle = await settled(machine);
      await machine.do(handle.write(fresh, 0, fresh.length, 0));
      machine.faults.arm('sync', 'EIO', 0);
      await assert.rejects(machine.do(handle.sync()), { code: 'EIO' });
      assert.equal(kindOf(await machine.read('/d/f')), 'new', 'reads see it');
      await machine.do(handle.sync());
      machine.powerCut();
      return kindOf(await machine.read('/d/f'));
    });
    assert.deepEqual([...found].sort(), ['new', 'old', 'torn']);
  });

  it('covers with a sync what was complete when it began, not what came after', async () => {
    const found = await outcomes(async (machine) => {
      const handle = await settled(machine);
      const sync = handle.sync();
      const write = handle.write(fresh, 0, fresh.length, 0);
      await machine.do(Promise.all([sync, write]));
      machine.powerCut();
      return kindOf(await machine.read('/d/f'));
    });
    assert.ok(found.has('old'));
  });

  it('refuses what needs space while the disk is full, and rewrites what has some', async () => {
    const machine = new Machine(1);
    const handle = await settled(machine);
    machine.disk.freePages = 0;
    await machine.do(handle.write(fresh, 0, fresh.length, 0));
    await assert.rejects(machine.do(handle.write(fresh, 0, fresh.length, 8192)), { code: 'ENOSPC' });
    await assert.rejects(machine.do(machine.files.open('/d/g', 'create')), { code: 'ENOSPC' });
    machine.disk.freePages = Infinity;
    await machine.do(handle.write(fresh, 0, fresh.length, 8192));
  });

  it('gives the lock to one process and takes it back when that dies', async () => {
    const machine = new Machine(1);
    const first = machine.files;
    await machine.do(first.lock('/d'));
    await assert.rejects(machine.do(first.lock('/d')), { code: 'LOCKED' });
    machine.kill();
    const lock = await machine.do(machine.files.lock('/d'));
    await machine.do(lock.release());
    await machine.do(machine.files.lock('/d'));
  });

  it('notes what a process does wrong', async () => {
    const machine = new Machine(1);
    const handle = await settled(machine);
    const buffer = Buffer.alloc(100, 7);
    const write = handle.write(buffer, 0, 100, 0);
    buffer[50] = 8;
    await machine.do(write);
    handle.append(buffer, 0, 100, 0, false, () => {});
    handle.append(buffer, 0, 100, 0, false, () => {});
    await machine.do(handle.close());
    assert.equal(machine.files.misuse.length, 3, machine.files.misuse.join('\n'));
  });
});
