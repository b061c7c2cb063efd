import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { createServer } from 'node:net';
import type { Address } from './connection.ts';

/** Something that is up and can be measured. */
export interface Running {
  readonly version: string;
  /** The process to watch; absent for what runs elsewhere. */
  readonly pid?: number;
  stop(): Promise<void>;
}

/** A broker that is up. */
export interface Broker extends Running {
  readonly address: Address;
  /** From the start of the process until it listened. */
  readonly startupMs?: number;
  /** Ends it with SIGKILL, keeping its data. */
  crash?(): Promise<void>;
}

/** Somebody to measure: started here, or running already. */
export interface Contender<R extends Running = Broker> {
  readonly name: string;
  /** Starts one of its own with its data in `dataDir`; what is there already is taken up. Absent for a running one. */
  readonly start?: (dataDir: string) => Promise<R>;
  /** The running broker of a contender that isn't started here. */
  readonly attach?: () => Promise<R>;
}

const live = new Set<number>();
let watching = false;

/**
 * Starts a program in a process group of its own, so that Ctrl-C reaches it only through this process, and makes sure that the
 * group is gone when this process exits for whatever reason it can still notice.
 */
export function spawnGroup(command: string, args: string[], options: SpawnOptions): ChildProcess {
  if (!watching) {
    watching = true;
    process.on('exit', () => {
      for (const pid of live) signalGroup(pid, 'SIGKILL');
    });
  }
  const child = spawn(command, args, { ...options, detached: true });
  const { pid } = child;
  if (pid !== undefined) {
    live.add(pid);
    child.once('exit', () => {
      signalGroup(pid, 'SIGKILL');
      live.delete(pid);
    });
  }
  return child;
}

/** Ends a group and waits for it: politely first if asked to, then with SIGKILL. */
export async function endGroup(child: ChildProcess, politeMs = 0): Promise<void> {
  const { pid } = child;
  if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      resolve();
    });
  });
  if (politeMs > 0) {
    child.kill('SIGTERM');
    const patience = setTimeout(() => {
      signalGroup(pid, 'SIGKILL');
    }, politeMs);
    await ended;
    clearTimeout(patience);
    return;
  }
  signalGroup(pid, 'SIGKILL');
  await ended;
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone already, which is what was wanted.
  }
}

/** A port on loopback that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no free port on 127.0.0.1');
  return address.port;
}

export const guest = { user: 'guest', password: 'guest', vhost: '/' } as const;
