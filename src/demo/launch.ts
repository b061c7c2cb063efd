/** Child processes that never outlive their parent: they end on their own when the parent's end of their channel closes. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface LaunchOptions {
  readonly name: string;
  /** Program and arguments. */
  readonly command: readonly string[];
  /** Takes standard error (and output, with `channel: 'messages'`); appended to. */
  readonly logFile: string;
  /** `messages`: Node's own channel. `stdin`: a pipe that the child watches; its standard output then comes line by line. */
  readonly channel: 'messages' | 'stdin';
}

/** One life of one child process. */
export class Launched {
  readonly name: string;
  readonly logFile: string;
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;

  constructor(options: LaunchOptions) {
    this.name = options.name;
    this.logFile = options.logFile;
    const [program = process.execPath, ...args] = options.command;
    const log = openSync(options.logFile, 'a');
    this.#child = spawn(program, args, {
      stdio: options.channel === 'messages' ? ['ignore', log, log, 'ipc'] : ['pipe', 'pipe', log],
    });
    closeSync(log);
    // A message to a child that was killed a moment ago fails; `exited` tells of that.
    this.#child.on('error', () => undefined);
    this.#child.stdin?.on('error', () => undefined);
    this.exited = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => resolve({ code, signal }));
      this.#child.once('error', () => {
        if (this.#child.pid === undefined) resolve({ code: null, signal: null });
      });
    });
  }

  /** 0 if it could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Sends the signal and waits for the end. */
  async kill(signal: NodeJS.Signals): Promise<Exit> {
    if (this.running) this.#child.kill(signal);
    return this.exited;
  }

  send(message: object): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#child.on('message', listener);
  }

  /** The first line of standard output, or null if it ended without one. */
  async firstLine(): Promise<string | null> {
    const output = this.#child.stdout;
    if (output === null) return null;
    for await (const line of createInterface({ input: output })) {
      output.resume();
      return line;
    }
    return null;
  }

  /** The last line that it logged: mostly why it ended. */
  lastWords(): string {
    const lines = readFileSync(this.logFile, 'utf8').trim().split('\n');
    return lines.at(-1) ?? '';
  }
}

/** Everything that was launched, so that everything can be ended. */
export class Launcher {
  readonly #running = new Set<Launched>();

  launch(options: LaunchOptions): Launched {
    const launched = new Launched(options);
    this.#running.add(launched);
    void launched.exited.then(() => this.#running.delete(launched));
    return launched;
  }

  /** Ends at once whatever still runs. */
  async endAll(): Promise<void> {
    await Promise.all([...this.#running].map((launched) => launched.kill('SIGKILL')));
  }
}
