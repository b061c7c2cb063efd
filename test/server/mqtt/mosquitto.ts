/** Mosquitto in the broker's place: for the tests themselves, so that what they ask is not only what our server does. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export class Mosquitto {
  port = 0;
  #child: ChildProcess | null = null;
  readonly #directory = mkdtempSync(join(tmpdir(), 'postrider-mosquitto-'));

  async start(): Promise<void> {
    if (this.port === 0) this.port = await freePort();
    const config = join(this.#directory, 'mosquitto.conf');
    const lines = [
      `listener ${this.port} 127.0.0.1`,
      'allow_anonymous true',
      'user root',
      'persistence true',
      `persistence_location ${this.#directory}/`,
      'max_queued_messages 0',
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    this.#child = spawn('mosquitto', ['-c', config], { stdio: process.env['MQTT_TEST_LOG'] ? 'inherit' : 'ignore' });
    for (let tries = 0; !(await accepts(this.port)); tries++) {
      if (tries > 100) throw new Error('mosquitto does not listen');
      await sleep(20);
    }
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }

  async close(): Promise<void> {
    await this.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  return new Promise((resolve) => {
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
