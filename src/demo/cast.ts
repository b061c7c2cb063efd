/** The programs of the store as the director knows them: who runs, and what each last reported. */
import type { Launched, Launcher } from './launch.ts';
import { Players } from './players.ts';
import type { OrdersPart, OrdersReport, WorkerPart, WorkReport } from './role.ts';
import { services, type Service } from './store.ts';

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

export class Cast extends Players {
  orders = noOrders;
  readonly work: Record<Service, WorkReport> = { inventory: noWork, payment: noWork, shipping: noWork };
  /** How often each service has reported. */
  readonly #reports: Record<Service, number> = { inventory: 0, payment: 0, shipping: 0 };
  /** Deliveries to earlier lives of each service. */
  readonly #before: Record<Service, number> = { inventory: 0, payment: 0, shipping: 0 };
  readonly #programs: Programs;

  constructor(programs: Programs, launcher: Launcher, logDirectory: string) {
    super(launcher, logDirectory);
    this.#programs = programs;
  }

  /** Whoever places the orders. `onReport` is called with each report, as soon as `orders` has it. */
  startOrders(name: string, part: OrdersPart, onReport: (report: OrdersReport) => void = () => undefined): Launched {
    return this.start(name, this.#programs.orders, part, (report) => {
      this.orders = report as OrdersReport;
      onReport(this.orders);
    });
  }

  startWorker(part: WorkerPart): void {
    const { service } = part;
    this.#before[service] += this.work[service].received;
    this.work[service] = noWork;
    this.start(service, this.#programs.worker, part, (report) => {
      this.work[service] = report as WorkReport;
      this.#reports[service] += 1;
    });
  }

  /** Deliveries so far, over all lives of the service. */
  received(service: Service): number {
    return this.#before[service] + this.work[service].received;
  }

  get workReports(): number[] {
    return services.map((service) => this.#reports[service]);
  }

  get receivedInAll(): number {
    return services.reduce((sum, service) => sum + this.received(service), 0);
  }

  get openInAll(): number {
    return services.reduce((sum, service) => sum + this.work[service].open, 0);
  }
}
