import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execFileSync } from 'node:child_process';
import { endGroup, freePort, spawnGroup, type Contender } from '../broker.ts';
import { findProgram } from '../find-program.ts';
import { monotonicMs } from '../load.ts';
import { MqttConnection, type MqttAddress } from './connection.ts';
import type { MqttBroker } from './load-run.ts';

const startWithinMs = 30_000;

/** Mosquitto as found on this machine, or nothing where it is absent. */
export function findMosquitto(): Contender<MqttBroker> | undefined {
  const program = findProgram('mosquitto', [], ['/usr/local/sbin']);
  return program === undefined
    ? undefined
    : { name: 'mosquitto', start: (dataDir) => startMosquitto(program, dataDir) };
}

/**
 * One of its own. It keeps sessions in memory and writes them out every half hour, as Debian's package does, and drops nothing:
 * its limits of messages in flight (20) and queued (1,000) would make it lose QoS 1 and 2.
 */
async function startMosquitto(program: string, dataDir: string): Promise<MqttBroker> {
  await mkdir(dataDir, { recursive: true });
  const port = await freePort();
  const settings = {
    listener: `${port} 127.0.0.1`,
    allow_anonymous: 'true',
    persistence: 'true',
    persistence_location: `${dataDir}/`,
    max_inflight_messages: '1000',
    max_queued_messages: '0',
    max_connections: '-1',
    set_tcp_nodelay: 'true',
    log_dest: 'stderr',
    log_type: 'error',
  };
  const file = join(dataDir, 'mosquitto.conf');
  const lines = Object.entries(settings).map(([name, value]) => `${name} ${value}\n`);
  // Started by root it would become a user who can't read this folder.
  if (process.getuid?.() === 0) lines.push('user root\n');
  await writeFile(file, lines.join(''));
  // It does not raise its limit of open files by itself, as Node does.
  const script = 'ulimit -n "$(ulimit -Hn)"; exec "$0" -c "$1"';
  const server = spawnGroup('/bin/sh', ['-c', script, program, file], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  server.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-1000);
  });
  const address = { host: '127.0.0.1', port };
  try {
    await untilConnected(address, () => {
      if (server.exitCode !== null) throw new Error(`Mosquitto ended before it listened: ${said.trim()}`);
    });
  } catch (cause) {
    await endGroup(server);
    throw cause;
  }
  const { pid } = server;
  return {
    address,
    version: versionOf(program),
    ...(pid === undefined ? {} : { pid }),
    stop: () => endGroup(server, 10_000),
  };
}

/** Polls until somebody completes a handshake there. */
export async function untilConnected(address: MqttAddress, checkAlive: () => void): Promise<void> {
  const deadlineMs = monotonicMs() + startWithinMs;
  for (;;) {
    checkAlive();
    try {
      const connection = await MqttConnection.open(address, { clientId: 'bench-probe' });
      await connection.close();
      return;
    } catch (cause) {
      if (monotonicMs() > deadlineMs) throw cause;
      await sleep(50);
    }
  }
}

/** It has no option that says just that: its help does, and ends with code 3. */
function versionOf(program: string): string {
  let help = '';
  try {
    help = execFileSync(program, ['-h'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (cause) {
    if (cause instanceof Error && 'stdout' in cause) help = String(cause.stdout);
  }
  return /version (\S+)/.exec(help)?.[1] ?? '';
}
