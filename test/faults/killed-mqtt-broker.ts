import type { TestContext } from 'node:test';
import { type Running, scratch, start } from '../cli/postrider.ts';

/** A broker as a process of its own, on one directory and port. */
export class KilledBroker {
  port = 0;
  readonly #directory: string;
  #running: Running | null = null;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async start(): Promise<void> {
    const ports = ['--amqp-port', 'off', '--ws-port', 'off', '--mqtt-port', String(this.port)];
    this.#running = start(['serve', '--data', this.#directory, ...ports, '--json', '--stop-with-parent']);
    this.port = (JSON.parse(await this.#running.line()) as { ports: { mqtt: number } }).ports.mqtt;
  }

  async kill(): Promise<void> {
    this.#running?.child.kill('SIGKILL');
    await this.#running?.finished;
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }
}

export async function begin(context: TestContext): Promise<KilledBroker> {
  const broker = new KilledBroker(await scratch());
  context.after(() => broker.kill());
  await broker.start();
  return broker;
}
