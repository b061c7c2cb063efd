import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, type Contender } from '../broker.ts';
import type { MqttBroker } from './load-run.ts';
import { startPeer } from './peer.ts';

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
  return startPeer('Aedes', version, port, process.execPath, args);
}

function installedVersion(): string | undefined {
  try {
    const file = new URL('./package.json', import.meta.resolve('aedes'));
    return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  } catch {
    return undefined;
  }
}
