/** An engine on a directory of its own; death is a copy of what lies there at that moment. */
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { localEngine, type LocalEngine, type LocalEngineOptions } from '../../../src/engine/local/index.ts';
import { readDirectory, type DirectoryEntry } from '../../../src/engine/local/journal/directory.ts';
import { readGroup } from '../../../src/engine/local/journal/group.ts';
import {
  SEGMENT_HEADER_BYTES,
  readSegmentHeader,
  segmentOfName,
} from '../../../src/engine/local/journal/segment-file.ts';
import { Fixture } from '../../conformance/fixture.ts';

const KiB = 1024;
/** Groups and segments are small, checkpoints rare. */
export const small: LocalEngineOptions = {
  windowBytes: 8 * KiB,
  blockBytes: 16 * KiB,
  firstSegmentBytes: 64 * KiB,
  segmentBytes: 64 * KiB,
  checkpointBytes: 1024 * KiB,
  reserveBytes: 4 * KiB,
  scrubIntervalMs: 0,
};

export interface Crashing {
  readonly fixture: Fixture;
  /** The engine as it is now. */
  engine(): LocalEngine;
  directory(): string;
}

export async function crashing(test: TestContext, options: LocalEngineOptions = small): Promise<Crashing> {
  const root = await mkdtemp(join(tmpdir(), 'postrider-engine-'));
  let directory = join(root, 'data');
  let engine = localEngine(directory, options);
  const opened = [engine];
  const next = (): Promise<LocalEngine> => {
    engine = localEngine(directory, options);
    opened.push(engine);
    return Promise.resolve(engine);
  };
  test.after(async () => {
    for (const one of opened) await one.close();
    await rm(root, { recursive: true, force: true });
  });
  const fixture = await Fixture.open({
    engine,
    reopen: next,
    crash: async () => {
      const copy = join(root, `data-${opened.length}`);
      // What the engine removes meanwhile is gone with the next look.
      while (!isCopied(directory, copy)) rmSync(copy, { recursive: true });
      directory = copy;
      return next();
    },
    cleanup: () => Promise.resolve(),
  });
  return { fixture, engine: () => engine, directory: () => directory };
}

/** In one turn, so that all of it is of one moment but for what is under way in the thread pool. False: a file was removed meanwhile. */
function isCopied(from: string, to: string): boolean {
  mkdirSync(to);
  // A file that is being made goes to its name meanwhile, and holds nothing yet.
  const entries = readdirSync(from, { withFileTypes: true }).filter(
    (entry) => entry.isFile() && entry.name !== 'lock' && !entry.name.endsWith('.new'),
  );
  try {
    for (const { name } of entries) copyFileSync(join(from, name), join(to, name));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** What the groups on disk do, each as its entries. */
export async function groupsIn(directory: string): Promise<DirectoryEntry[][]> {
  const groups: DirectoryEntry[][] = [];
  for (const name of (await readdir(directory)).sort()) {
    const segment = segmentOfName(name);
    if (segment === null) continue;
    const bytes = await readFile(join(directory, name));
    const salt = readSegmentHeader(bytes, segment).salt!;
    for (let at = SEGMENT_HEADER_BYTES; ;) {
      const header = readGroup(bytes, at, segment, at, salt);
      if (header === null) break;
      groups.push([...readDirectory(bytes, at + header.directoryStart, header.directoryLength)]);
      at += header.length;
    }
  }
  return groups;
}
