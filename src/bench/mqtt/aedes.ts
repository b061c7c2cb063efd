import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endGroup, freePort, spawnGroup, type Contender } from '../broker.ts';
import type { MqttBroker } from './load-run.ts';
import { untilConnected } from './mosquitto.ts';

/** Runs as compiled JavaScript from dist, and as TypeScript where the benchmark runs from src. */
const extension = extname(fileURLToPath(import.meta.url));
const program = fileURLToPath(new URL(`./aedes-server${extension}`, import.meta.url));

/** Aedes, if it is installed. */
export function findAedes(): Contender<MqttBroker> | undefined {
  const version = installedVersion();
  return version === undefined ? undefined : { name: 'aedes', start: () => startAedes(version) };
}

async function startAedes(version: string): Promise<MqttBroker> {
  const port = await freePort();
  const args = [...process.execArgv, program, String(port)];
  const server = spawnGroup(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  server.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-1000);
  });
  const address = { host: '127.0.0.1', port };
  try {
    await untilConnected(address, () => {
      if (server.exitCode !== null) throw new Error(`Aedes ended before it listened: ${said.trim()}`);
    });
  } catch (cause) {
    await endGroup(server);
    throw cause;
  }
  const { pid } = server;
  return { address, version, ...(pid === undefined ? {} : { pid }), stop: () => endGroup(server, 10_000) };
}

function installedVersion(): string | undefined {
  try {
    const file = new URL('./package.json', import.meta.resolve('aedes'));
    return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  } catch {
    return undefined;
  }
}
