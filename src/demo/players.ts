/** The programs of a scene as child processes: started, told things, killed and ended by name. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Launched, Launcher } from './launch.ts';
import type { Told } from './role.ts';

/** `.ts` from the sources (through tsx), `.js` from dist. */
const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'));

interface Role {
  launched: Launched;
  /** It was told to end, or killed on purpose. */
  leaving: boolean;
}

export class Players {
  readonly #roles = new Map<string, Role>();
  readonly #launcher: Launcher;
  readonly #logDirectory: string;

  constructor(launcher: Launcher, logDirectory: string) {
    this.#launcher = launcher;
    this.#logDirectory = logDirectory;
  }

  logFile(name: string): string {
    return join(this.#logDirectory, `${name}.log`);
  }

  log(name: string, line: string): void {
    try {
      appendFileSync(this.logFile(name), `${line}\n`);
    } catch {
      // A connection may still speak when the demo has ended and its directory is gone.
    }
  }

  /** `program`: its path from here. `onReport` is called with each report of this life, and of no other. */
  start(name: string, program: string, part: object, onReport: (report: unknown) => void): Launched {
    const file = fileURLToPath(new URL(`./${program}${extension}`, import.meta.url));
    const launched = this.#launcher.launch({
      name,
      command: [process.execPath, ...process.execArgv, file, JSON.stringify(part)],
      logFile: this.logFile(name),
      channel: 'messages',
    });
    this.#roles.set(name, { launched, leaving: false });
    launched.onMessage((report) => {
      if (this.#roles.get(name)?.launched === launched) onReport(report);
    });
    return launched;
  }

  pid(name: string): number {
    return this.#roles.get(name)?.launched.pid ?? 0;
  }

  lastWords(name: string): string {
    return this.#roles.get(name)?.launched.lastWords() ?? '';
  }

  tell(name: string, message: Told): void {
    this.#roles.get(name)?.launched.send(message);
  }

  /** Ends one without a warning; resolves when it is gone. */
  async kill(name: string): Promise<void> {
    const role = this.#roles.get(name);
    if (role === undefined) return;
    role.leaving = true;
    await role.launched.kill('SIGKILL');
  }

  /** Tells one to end; resolves with its exit code, null if a signal ended it. */
  async stop(name: string): Promise<number | null> {
    const role = this.#roles.get(name);
    if (role === undefined) return 0;
    role.leaving = true;
    this.tell(name, { do: 'stop' });
    return (await role.launched.exited).code;
  }

  /** Tells everyone to end, and waits for it; everyone but whoever the others need to do so. */
  async dismiss(last?: string): Promise<void> {
    await Promise.all([...this.#roles.keys()].filter((name) => name !== last).map((name) => this.stop(name)));
  }

  /** @throws Error when one ended that nobody asked to */
  check(): void {
    for (const { launched, leaving } of this.#roles.values()) {
      if (!leaving && !launched.running) throw new Error(`${launched.name} ended by itself: ${launched.lastWords()}`);
    }
  }
}
