import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endGroup, freePort, guest, spawnGroup, type Broker, type Contender } from './broker.ts';
import { LoadConnection } from './connection.ts';
import { findProgram } from './find-program.ts';
import { monotonicMs } from './load.ts';

/** Debian's plain scripts come first: the one on its PATH insists on the user `rabbitmq` and the system's own node. */
const scriptFolders = ['/usr/lib/rabbitmq/bin'];
const startWithinMs = 90_000;

/** RabbitMQ as found on this machine, or nothing where it is absent. */
export function findRabbitMq(): Contender | undefined {
  const script = findProgram('rabbitmq-server', scriptFolders);
  const epmd = findProgram('epmd', [], ['/usr/lib/erlang/bin']);
  if (script === undefined || epmd === undefined) return undefined;
  return { name: 'rabbitmq', start: (dataDir) => startRabbitMq(script, epmd, dataDir) };
}

/**
 * A node of its own: own data, log, cookie, ports and port mapper (within which its name is unique), no plugins and no system-wide configuration, so that an
 * installed RabbitMQ is neither used nor disturbed. The port mapper runs in the foreground as our child, because the one that
 * Erlang starts by itself outlives its node.
 */
async function startRabbitMq(script: string, epmdProgram: string, dataDir: string): Promise<Broker> {
  await mkdir(dataDir, { recursive: true });
  const [port, distPort, epmdPort] = [await freePort(), await freePort(), await freePort()];
  const pidFile = join(dataDir, 'pid');
  const configFile = join(dataDir, 'rabbitmq.conf');
  await writeFile(configFile, '');
  await writeFile(join(dataDir, 'enabled_plugins'), '[].\n');
  await writeFile(join(dataDir, 'rabbitmq-env.conf'), '');
  const env = {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    LANG: 'C.UTF-8',
    HOME: dataDir,
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: 'postrider-bench@localhost',
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distPort),
    RABBITMQ_MNESIA_BASE: join(dataDir, 'mnesia'),
    RABBITMQ_LOG_BASE: join(dataDir, 'log'),
    RABBITMQ_SCHEMA_DIR: join(dataDir, 'schema'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(dataDir, 'config'),
    RABBITMQ_PID_FILE: pidFile,
    RABBITMQ_CONFIG_FILE: configFile,
    RABBITMQ_CONF_ENV_FILE: join(dataDir, 'rabbitmq-env.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dataDir, 'enabled_plugins'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
  };
  const startedMs = monotonicMs();
  const epmd = spawnGroup(epmdProgram, ['-port', String(epmdPort), '-address', '127.0.0.1'], { env, stdio: 'ignore' });
  await sleep(200);
  const server = spawnGroup(script, [], { env, cwd: dataDir, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [server.stdout, server.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-1000);
    });
  }
  const end = async (): Promise<void> => {
    const pid = await readPid(pidFile);
    await endGroup(server);
    if (pid !== undefined) endBeam(pid);
    await endGroup(epmd);
  };
  const address = { host: '127.0.0.1', port, ...guest };
  try {
    const version = await untilReady(address, () => {
      if (server.exitCode !== null) throw new Error(`RabbitMQ ended before it listened: ${said.trim()}`);
    });
    const startupMs = monotonicMs() - startedMs;
    const pid = await readPid(pidFile);
    return { address, version, ...(pid === undefined ? {} : { pid }), startupMs, stop: end, crash: end };
  } catch (cause) {
    await end();
    throw cause;
  }
}

/** Polls until the broker completes a handshake; says its version. */
async function untilReady(address: Broker['address'], checkAlive: () => void): Promise<string> {
  const deadlineMs = monotonicMs() + startWithinMs;
  for (;;) {
    checkAlive();
    try {
      const connection = await LoadConnection.open(address, { readBytes: 16_384 });
      const version = connection.serverVersion;
      await connection.close();
      return version;
    } catch (cause) {
      if (monotonicMs() > deadlineMs) {
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new Error(`RabbitMQ was not ready within ${startWithinMs / 1000} s: ${why}`, { cause });
      }
      await sleep(100);
    }
  }
}

async function readPid(pidFile: string): Promise<number | undefined> {
  if (!existsSync(pidFile)) return undefined;
  const pid = Number.parseInt(await readFile(pidFile, 'utf8'), 10);
  return Number.isInteger(pid) && pid > 1 ? pid : undefined;
}

/** The Erlang machine usually went with its group; where the script gave it a group of its own, it goes by its pid. */
function endBeam(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
