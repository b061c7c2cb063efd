/** The programs of the store as the director knows them: who runs, and what each last reported. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Launched, Launcher } from './launch.ts';
import type { OrdersPart, OrdersReport, Told, WorkerPart, WorkReport } from './role.ts';
import { services, type Service } from './store.ts';

/** `.ts` from the sources (through tsx), `.js` from dist. */
const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'));

/** Which programs play, by their paths from here. */
export interface Programs {
  readonly orders: string;
  readonly worker: string;
}

const noOrders: OrdersReport = {
  placed: 0,
  confirmed: 0,
  unknown: 0,
  rejected: 0,
  open: 0,
  done: false,
  offline: false,
  rushing: false,
};
const noWork: WorkReport = { received: 0, redelivered: 0, open: 0, ready: false };

interface Role {
  launched: Launched;
  /** It was told to end, or killed on purpose. */
  leaving: boolean;
}

export class Cast {
  orders = noOrders;
  readonly work: Record<Service, WorkReport> = { inventory: noWork, payment: noWork, shipping: noWork };
  /** Deliveries to earlier lives of each service. */
  readonly #before: Record<Service, number> = { inventory: 0, payment: 0, shipping: 0 };
  readonly #roles = new Map<string, Role>();
  readonly #programs: Programs;
  readonly #launcher: Launcher;
  readonly #logDirectory: string;

  constructor(programs: Programs, launcher: Launcher, logDirectory: string) {
    this.#programs = programs;
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

  /** Whoever places the orders. `onReport` is called with each report, as soon as `orders` has it. */
  startOrders(name: string, part: OrdersPart, onReport: (report: OrdersReport) => void = () => undefined): Launched {
    const launched = this.#start(name, this.#programs.orders, part);
    launched.onMessage((report) => {
      // Of an earlier life, perhaps.
      if (this.#roles.get(name)?.launched !== launched) return;
      this.orders = report as OrdersReport;
      onReport(this.orders);
    });
    return launched;
  }

  startWorker(part: WorkerPart): void {
    const { service } = part;
    this.#before[service] += this.work[service].received;
    this.work[service] = noWork;
    this.#start(service, this.#programs.worker, part).onMessage((report) => {
      this.work[service] = report as WorkReport;
    });
  }

  /** Deliveries so far, over all lives of the service. */
  received(service: Service): number {
    return this.#before[service] + this.work[service].received;
  }

  get receivedInAll(): number {
    return services.reduce((sum, service) => sum + this.received(service), 0);
  }

  get openInAll(): number {
    return services.reduce((sum, service) => sum + this.work[service].open, 0);
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

  #start(name: string, program: string, part: object): Launched {
    const file = fileURLToPath(new URL(`./${program}${extension}`, import.meta.url));
    const launched = this.#launcher.launch({
      name,
      command: [process.execPath, ...process.execArgv, file, JSON.stringify(part)],
      logFile: this.logFile(name),
      channel: 'messages',
    });
    this.#roles.set(name, { launched, leaving: false });
    return launched;
  }
}
