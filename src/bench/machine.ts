import { execFileSync } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { monotonicMs } from './load.ts';
import { median } from './median.ts';

/** What a result must be read against. */
export interface Machine {
  cpu: string;
  cores: number;
  memoryGb: number;
  kernel: string;
  node: string;
  filesystem: string;
  /** Median time of an fdatasync after writing 4 KiB where the brokers keep their data. */
  fdatasyncMs: number;
}

export function describeMachine(dataDir: string): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    node: process.versions.node,
    filesystem: filesystemOf(dataDir),
    fdatasyncMs: syncMs(dataDir),
  };
}

/** A file system in memory makes a sync cost nothing, and every figure of a broker that syncs a lie. */
export function isInMemory(filesystem: string): boolean {
  return filesystem === 'tmpfs' || filesystem === 'ramfs';
}

export function filesystemOf(path: string): string {
  try {
    return execFileSync('stat', ['-f', '-c', '%T', path], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

/** Writes out what earlier rounds left in the page cache, so that the next one does not pay for it. */
export function flushDisk(): void {
  try {
    execFileSync('sync', { stdio: 'ignore' });
  } catch {
    // Without it the figures are noisier, not wrong.
  }
}

function syncMs(dir: string): number {
  const path = join(dir, 'fdatasync-probe');
  const block = Buffer.alloc(4096, 0x5a);
  const file = openSync(path, 'w');
  const times: number[] = [];
  try {
    for (let index = 0; index < 200; index++) {
      writeSync(file, block);
      const startedMs = monotonicMs();
      fdatasyncSync(file);
      times.push(monotonicMs() - startedMs);
    }
  } finally {
    closeSync(file);
    rmSync(path, { force: true });
  }
  return median(times);
}
