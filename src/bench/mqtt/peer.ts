import { setTimeout as sleep } from 'node:timers/promises';
import { endGroup, spawnGroup } from '../broker.ts';
import { monotonicMs } from '../load.ts';
import { MqttConnection, type MqttAddress } from './connection.ts';
import type { MqttBroker } from './load-run.ts';

const startWithinMs = 30_000;
/** Of what it last said. */
const maxWords = 1000;

/** Starts somebody else's broker, and resolves once it listens. @throws Error with its last words where it ends before */
export async function startPeer(
  name: string,
  version: string,
  port: number,
  program: string,
  args: string[],
): Promise<MqttBroker> {
  const server = spawnGroup(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  server.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-maxWords);
  });
  const address = { host: '127.0.0.1', port };
  try {
    await untilConnected(address, () => {
      if (server.exitCode !== null) throw new Error(`${name} ended before it listened: ${said.trim()}`);
    });
  } catch (cause) {
    await endGroup(server);
    throw cause;
  }
  const { pid } = server;
  return { address, version, ...(pid === undefined ? {} : { pid }), stop: () => endGroup(server, 10_000) };
}

/** Polls until somebody completes a handshake there. */
async function untilConnected(address: MqttAddress, checkAlive: () => void): Promise<void> {
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
