/** What the tests talk to: a broker behind an MQTT server in this process, or Mosquitto where `MQTT_TEST_TARGET` says so. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { Broker } from '../../../src/broker/index.ts';
import type { Files } from '../../../src/engine/local/journal/files.ts';
import { localEngine, memoryEngine } from '../../../src/engine/local/index.ts';
import { type MqttServerOptions, MqttServer } from '../../../src/server/mqtt/index.ts';
import { Mosquitto } from './mosquitto.ts';

export interface TargetOptions extends Partial<Omit<MqttServerOptions, 'broker'>> {
  /** On disk, so that a restart finds what was stored. Default: in memory. */
  readonly durable?: boolean;
  /** How it reaches that disk. */
  readonly files?: Files;
}

export interface Target {
  /** Null where it is not ours: tests that need more of it than its port end at once. */
  readonly own: { readonly broker: Broker; readonly server: MqttServer } | null;
  readonly port: number;
  /** Of WebSocket; 0 where it does not listen. */
  readonly wsPort: number;
  /** Stops it in an orderly way, and starts it again on what it stored. */
  restart(): Promise<void>;
}

/** Closed after the tests of the file. To be called outside of any test. */
export async function startTarget(options: TargetOptions = {}): Promise<Target> {
  if (process.env['MQTT_TEST_TARGET'] === 'mosquitto') return startMosquitto();
  const own = new Own(options);
  await own.start();
  after(() => own.close());
  return own;
}

class Own implements Target {
  own!: { broker: Broker; server: MqttServer };
  port = 0;
  wsPort = 0;
  readonly #options: TargetOptions;
  readonly #directory: string | null;

  constructor(options: TargetOptions) {
    this.#options = options;
    this.#directory = options.durable === true ? mkdtempSync(join(tmpdir(), 'postrider-mqtt-')) : null;
  }

  async start(): Promise<void> {
    const { durable: _, files, settings, ...others } = this.#options;
    const broker = new Broker({
      engine:
        this.#directory === null ? memoryEngine() : localEngine(this.#directory, files === undefined ? {} : { files }),
    });
    await broker.open();
    // A test that breaks the protocol need not wait for the punishment.
    const quick = { silentCloseDelayMs: 50, ...settings };
    const server = new MqttServer({ broker, settings: quick, version: '0.0.1', log, ...others });
    this.own = { broker, server };
    this.port = (await server.listen('127.0.0.1', 0)).port;
    this.wsPort = (await server.listenWs('127.0.0.1', 0)).port;
  }

  async restart(): Promise<void> {
    await this.#stop();
    await this.start();
  }

  async close(): Promise<void> {
    await this.#stop();
    if (this.#directory !== null) rmSync(this.#directory, { recursive: true, force: true });
  }

  async #stop(): Promise<void> {
    await this.own.server.close({ timeoutMs: 200 });
    await this.own.broker.close();
  }
}

function log(line: string): void {
  if (process.env['MQTT_TEST_LOG'] !== undefined) console.log(line);
}

async function startMosquitto(): Promise<Target> {
  const mosquitto = new Mosquitto();
  await mosquitto.start();
  after(() => mosquitto.close());
  return {
    own: null,
    port: mosquitto.port,
    wsPort: 0,
    async restart() {
      await mosquitto.stop();
      await mosquitto.start();
    },
  };
}
