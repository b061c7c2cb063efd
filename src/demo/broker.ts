/** A broker as a child process: `postrider serve` on a data directory, killed and started again on the same ports. */
import type { Exit, Launched, Launcher } from './launch.ts';
import type { OwnBroker } from './own-broker.ts';

export interface BrokerOptions {
  readonly launcher: Launcher;
  /** Program and arguments that are `postrider`. */
  readonly postrider: readonly string[];
  /** A directory, or `memory:`. */
  readonly data: string;
  readonly logFile: string;
  /** For AMQP. Default 0: any free port. A restart keeps the ports. */
  readonly port?: number;
  /** Serves MQTT too, on any free port. Default false. */
  readonly mqtt?: boolean;
}

export class BrokerProcess implements OwnBroker {
  readonly name = 'broker';
  readonly #options: BrokerOptions;
  #launched: Launched | null = null;
  #port: number;
  #mqttPort = 0;

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.#port = options.port ?? 0;
  }

  get url(): string {
    return `amqp://guest:guest@127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** 0: it does not serve MQTT, or has not listened yet. */
  get mqttPort(): number {
    return this.#mqttPort;
  }

  get pid(): number {
    return this.#launched?.pid ?? 0;
  }

  get running(): boolean {
    return this.#launched?.running === true;
  }

  /** Resolves once it listens, with the milliseconds that took. @throws Error with its last words when it does not */
  async start(): Promise<number> {
    const { launcher, postrider, data, logFile, mqtt = false } = this.#options;
    const begun = performance.now();
    const launched = launcher.launch({
      name: 'broker',
      command: [
        ...postrider,
        'serve',
        '--data',
        data,
        '--amqp-port',
        String(this.#port),
        '--mqtt-port',
        mqtt ? String(this.#mqttPort) : 'off',
        '--ws-port',
        'off',
        '--json',
        '--stop-with-parent',
      ],
      logFile,
      channel: 'stdin',
    });
    this.#launched = launched;
    const line = await launched.firstLine();
    if (line === null) {
      const { code, signal } = await launched.exited;
      throw new Error(
        `the broker ended before it listened (${signal ?? `exit code ${code}`}): ${launched.lastWords()}`,
      );
    }
    const { ports } = JSON.parse(line) as { ports: { amqp: number; mqtt?: number | null } };
    this.#port = ports.amqp;
    this.#mqttPort = ports.mqtt ?? 0;
    return performance.now() - begun;
  }

  /** How its present life ends. */
  get exited(): Promise<Exit> {
    return this.#launched?.exited ?? Promise.resolve({ code: null, signal: null });
  }

  /** The last line that it logged. */
  lastWords(): string {
    return this.#launched?.lastWords() ?? '';
  }

  /** Ends it without a warning; resolves when it is gone. */
  async kill(): Promise<void> {
    await this.#launched?.kill('SIGKILL');
  }

  /** Ends it in order; resolves with its exit code, null if a signal ended it. */
  async stop(): Promise<number | null> {
    return (await this.#launched?.kill('SIGTERM'))?.code ?? null;
  }
}
