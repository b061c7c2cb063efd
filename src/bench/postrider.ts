import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { endGroup, guest, spawnGroup, type Contender, type Running } from './broker.ts';
import { monotonicMs } from './load.ts';

const executable = fileURLToPath(new URL('../../bin/postrider.js', import.meta.url));
const startWithinMs = 60_000;

/** Postrider as a user starts it: `postrider serve`, defaults, a process of its own. */
export const postrider: Contender = {
  name: 'postrider',
  async start(dataDir) {
    const { ports, ...broker } = await servePostrider(dataDir, [
      '--amqp-port',
      '0',
      '--mqtt-port',
      'off',
      '--ws-port',
      'off',
    ]);
    return { ...broker, address: { host: '127.0.0.1', port: portIn(ports, 'amqp'), ...guest } };
  },
};

/** A Postrider that is up, whatever it listens to. */
export interface ServedPostrider extends Running {
  readonly ports: Readonly<Record<string, unknown>>;
  readonly startupMs: number;
  crash(): Promise<void>;
}

/** `listeners`: options of `serve` that say where it listens. */
export async function servePostrider(dataDir: string, listeners: readonly string[]): Promise<ServedPostrider> {
  const startedMs = monotonicMs();
  const args = [executable, 'serve', '--data', dataDir, '--host', '127.0.0.1', ...listeners, '--json'];
  const child = spawnGroup(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2000);
  });
  const ports = await new Promise<ServedPostrider['ports']>((resolve, reject) => {
    const patience = setTimeout(() => {
      reject(new Error(`postrider did not listen within ${startWithinMs / 1000} s. ${complaint}`));
    }, startWithinMs);
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      clearTimeout(patience);
      reject(new Error(`postrider ended before it listened (${signal ?? `code ${code}`}). ${complaint}`));
    });
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      for (let end = printed.indexOf('\n'); end >= 0; end = printed.indexOf('\n')) {
        const found = portsIn(printed.slice(0, end));
        printed = printed.slice(end + 1);
        if (found !== undefined) {
          clearTimeout(patience);
          resolve(found);
        }
      }
    });
  }).catch(async (cause: unknown) => {
    await endGroup(child);
    throw cause;
  });
  const startupMs = monotonicMs() - startedMs;
  return {
    ports,
    version: await ownVersion(),
    ...(child.pid === undefined ? {} : { pid: child.pid }),
    startupMs,
    stop: () => endGroup(child, 10_000),
    crash: () => endGroup(child),
  };
}

export async function ownVersion(): Promise<string> {
  const description: unknown = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
  return isRecord(description) && typeof description.version === 'string' ? description.version : '';
}

/** The ports in the line that says that the broker listens; other lines are not for us. */
export function portsIn(line: string): ServedPostrider['ports'] | undefined {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    return undefined;
  }
  return isRecord(event) && event.event === 'listening' && isRecord(event.ports) ? event.ports : undefined;
}

export function portIn(ports: ServedPostrider['ports'], protocol: string): number {
  const port = ports[protocol];
  if (typeof port !== 'number') throw new Error(`postrider did not say on which port it listens for ${protocol}`);
  return port;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
