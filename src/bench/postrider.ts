import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { endGroup, guest, spawnGroup, type Broker, type Contender } from './broker.ts';
import { monotonicMs } from './load.ts';

const executable = fileURLToPath(new URL('../../bin/postrider.js', import.meta.url));
const startWithinMs = 60_000;

/** Postrider as a user starts it: `postrider serve`, defaults, a process of its own. */
export const postrider: Contender = { name: 'postrider', start: startPostrider };

async function startPostrider(dataDir: string): Promise<Broker> {
  const startedMs = monotonicMs();
  const args = [executable, 'serve', '--data', dataDir, '--host', '127.0.0.1', '--amqp-port', '0', '--json'];
  const child = spawnGroup(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2000);
  });
  const port = await new Promise<number>((resolve, reject) => {
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
        const found = listeningPort(printed.slice(0, end));
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
    address: { host: '127.0.0.1', port, ...guest },
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

/** The AMQP port in the line that says that the broker listens; other lines are not for us. */
export function listeningPort(line: string): number | undefined {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isRecord(event) || event.event !== 'listening') return undefined;
  const { ports, amqp } = event;
  if (isRecord(ports) && typeof ports.amqp === 'number') return ports.amqp;
  if (isRecord(amqp) && typeof amqp.port === 'number') return amqp.port;
  return typeof event.amqpPort === 'number' ? event.amqpPort : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
