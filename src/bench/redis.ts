import { setTimeout as sleep } from 'node:timers/promises';
import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { endGroup, freePort, spawnGroup, type Running } from './broker.ts';
import { findProgram } from './find-program.ts';
import { monotonicMs } from './load.ts';

const startWithinMs = 30_000;

/** A Redis that is up. */
export interface Redis extends Running {
  readonly url: string;
}

/** The Redis server on this machine; undefined where it is absent. */
export function findRedis(): string | undefined {
  return findProgram('redis-server');
}

/** One of its own, with the append-only file that BullMQ's manual asks for, synced once a second, and no snapshots. */
export async function startRedis(program: string, dataDir: string): Promise<Redis> {
  await mkdir(dataDir, { recursive: true });
  const port = await freePort();
  const settings = {
    bind: '127.0.0.1',
    port: String(port),
    dir: dataDir,
    save: '',
    appendonly: 'yes',
    appendfsync: 'everysec',
    'maxmemory-policy': 'noeviction',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const server = spawnGroup(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  server.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-1000);
  });
  const deadlineMs = monotonicMs() + startWithinMs;
  for (;;) {
    const version = await versionAt(port);
    if (version !== null) {
      const { pid } = server;
      const url = `redis://127.0.0.1:${port}`;
      return { url, version, ...(pid === undefined ? {} : { pid }), stop: () => endGroup(server, 10_000) };
    }
    if (server.exitCode !== null || monotonicMs() > deadlineMs) {
      await endGroup(server);
      throw new Error(`Redis did not start: ${said.trim()}`);
    }
    await sleep(50);
  }
}

/** Null: nobody answers there yet. */
function versionAt(port: number): Promise<string | null> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write('INFO server\r\n'));
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
      const version = /^redis_version:(\S+)/m.exec(answer)?.[1];
      if (version === undefined) return;
      socket.destroy();
      resolve(version);
    });
    socket.once('error', () => resolve(null));
    socket.once('close', () => resolve(null));
  });
}
