import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { freePort, type Contender } from '../broker.ts';
import { findProgram } from '../find-program.ts';
import type { MqttBroker } from './load-run.ts';
import { startPeer } from './peer.ts';

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
  return startPeer('Mosquitto', versionOf(program), port, '/bin/sh', ['-c', script, program, file]);
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
