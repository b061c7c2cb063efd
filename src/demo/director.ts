/**
 * The scene that Postrider exists for: a store whose services fail, one after the other and then the broker itself, and
 * no order is lost. Everything is real: processes, clients, SIGKILL; and the judge is `verify`, not the story. The scene is the
 * same whether the broker is a process of its own or inside the shop.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FileRecorder, type Verdict } from '../verify/index.ts';
import { BrokerProcess } from './broker.ts';
import { Cast } from './cast.ts';
import { ShopProcess } from './embedded/shop-process.ts';
import { judge, tell } from './judge.ts';
import type { Launcher } from './launch.ts';
import type { OwnBroker } from './own-broker.ts';
import { QueueDepth } from './queue-depth.ts';
import { Rest } from './rest.ts';
import type { OrdersPart } from './role.ts';
import { count, type Screen } from './screen.ts';
import { connectTo, exchangeOf, queueOf, services, type Service } from './store.ts';
import { Story } from './story.ts';

export interface StoreOptions {
  readonly orders: number;
  readonly perSecond: number;
  /** The shop has the broker inside itself, and everyone speaks the TypeScript API. */
  readonly embedded: boolean;
  /** Somebody else's broker: then it is not killed. Null: one of the demo's own. */
  readonly url: string | null;
  /** Where the demo's own broker keeps its data; null: in the demo's own directory. */
  readonly data: string | null;
  /** Program and arguments that are `postrider`. */
  readonly postrider: readonly string[];
  readonly screen: Screen;
  /** Ends the demo; everything is cleaned up before `runDemo` rejects. */
  readonly signal: AbortSignal;
}

const readyMs = 60_000;
const drainMs = 120_000;
const sweepMs = 3000;
/** Payment stays away this long, the broker that long. */
const awayMs = { payment: 2500, broker: 600 };
const programs = { orders: 'order-service', worker: 'worker' };
const embeddedPrograms = { orders: 'embedded/shop', worker: 'embedded/worker' };
/** Of the orders, how many a sale has: it must still go on when the broker is killed in it. */
const saleShare = { broker: 0.08, shop: 0.3 };

export class Director {
  readonly #options: StoreOptions;
  readonly #launcher: Launcher;
  readonly #directory: string;
  readonly #historyDirectory: string;
  readonly #cast: Cast;
  readonly #story: Story;
  readonly #prefix: string;
  #url = '';

  constructor(options: StoreOptions, directory: string, launcher: Launcher) {
    this.#options = options;
    this.#directory = directory;
    this.#launcher = launcher;
    this.#historyDirectory = join(directory, 'history');
    this.#cast = new Cast(options.embedded ? embeddedPrograms : programs, launcher, join(directory, 'logs'));
    this.#story = new Story(options.screen, 9, options.signal, () => this.#cast.check());
    this.#prefix = options.url === null ? '' : `postrider-demo-${process.pid}-`;
  }

  async run(): Promise<Verdict> {
    await mkdir(join(this.#directory, 'logs'));
    const recorder = FileRecorder.in(this.#historyDirectory, 'director');
    const broker = await this.#openBroker();
    this.#url = broker?.url ?? this.#options.url!;
    const connection = connectTo(this.#url, 'director', (line) => this.#cast.log('director', line));
    try {
      await connection.onConnect(readyMs, true);
      await this.#openShop();
      await this.#play(broker, recorder, new QueueDepth(connection, this.#queues(), 150));
    } finally {
      if (broker === null) await this.#sweep(connection);
      connection.unsafeDestroy();
    }
    const code = await broker?.stop();
    if (broker !== null && code !== 0) throw new Error(`the broker did not stop in order (exit code ${code})`);
    recorder.close();
    return this.#judge();
  }

  async #play(broker: OwnBroker | null, recorder: FileRecorder, depth: QueueDepth<Service>): Promise<void> {
    const { orders, perSecond } = this.#options;
    const showing = setInterval(() => this.#show(depth), 100);
    try {
      if (broker instanceof ShopProcess) broker.open();
      else this.#cast.startOrders('order-service', this.#ordersPart());
      const pace = `${count(orders)} of them, ${count(perSecond)} a second`;
      this.#story.tell('orders', `${pace}; each is confirmed once it is on disk`);
      await this.#losePayment(recorder, depth);
      await Promise.all([this.#tellWhenCaughtUp(depth), this.#goOn(broker, recorder, depth)]);
      await this.#cast.dismiss(broker?.name);
    } finally {
      clearInterval(showing);
      depth.close();
      this.#options.screen.live('');
    }
  }

  async #goOn(broker: OwnBroker | null, recorder: FileRecorder, depth: QueueDepth<Service>): Promise<void> {
    if (broker === null) this.#story.tell('broker', 'not ours, so it is not killed');
    else await this.#loseBroker(broker, recorder);
    await this.#finish(depth);
  }

  async #openBroker(): Promise<OwnBroker | null> {
    const { postrider, embedded, url } = this.#options;
    if (url !== null) return null;
    const data = this.#options.data ?? join(this.#directory, 'data');
    const logFile = this.#cast.logFile('broker');
    const broker = embedded
      ? new ShopProcess(this.#cast, this.#ordersPart(), data)
      : new BrokerProcess({ launcher: this.#launcher, postrider, data, logFile });
    const startMs = Math.round(await broker.start());
    const who = embedded ? 'has its broker inside, which listens' : 'listens';
    this.#story.tell(broker.name, `${who} on 127.0.0.1:${broker.port} after ${startMs} ms; its journal is in ${data}`);
    return broker;
  }

  async #openShop(): Promise<void> {
    for (const service of services) this.#cast.startWorker({ ...this.#common(), service });
    await this.#story.until(
      'the services connect',
      () => services.every((service) => this.#cast.work[service].ready),
      readyMs,
    );
    this.#story.tell(
      'services',
      'inventory, payment and shipping: a process and a durable queue each, and each gets every order',
    );
  }

  /** Payment dies; the order service must not notice, and payment must catch up. */
  async #losePayment(recorder: FileRecorder, depth: QueueDepth<Service>): Promise<void> {
    const { orders, perSecond } = this.#options;
    await this.#untilConfirmed(orders * 0.25);
    const before = this.#cast.pid('payment');
    recorder.fault('payment', 'SIGKILL payment');
    await this.#cast.kill('payment');
    const confirmed = this.#cast.orders.confirmed;
    this.#story.tell('payment', `killed (SIGKILL, pid ${before}) at ${count(confirmed)} orders`);

    await this.#story.pause(Math.min(awayMs.payment, (orders / perSecond) * 200));
    const meanwhile = this.#cast.orders.confirmed - confirmed;
    this.#story.tell('orders', `${count(meanwhile)} more were confirmed meanwhile: the order service did not notice`);
    this.#story.tell('payment', `${count(depth.waiting.payment)} orders wait in its queue; starting it again`);
    this.#cast.startWorker({ ...this.#common(), service: 'payment' });
    recorder.faultProof('payment', { kind: 'pid', before, after: this.#cast.pid('payment') });
  }

  async #tellWhenCaughtUp(depth: QueueDepth<Service>): Promise<void> {
    await this.#story.until('payment connects again', () => this.#cast.work.payment.ready, readyMs);
    await this.#story.until('payment catches up', () => depth.waiting.payment < 50, drainMs);
    this.#story.tell('payment', 'caught up');
  }

  /** The broker dies with answers outstanding; what is unknown is sent again, what was confirmed must still be there. */
  async #loseBroker(broker: OwnBroker, recorder: FileRecorder): Promise<void> {
    const { orders } = this.#options;
    const { name } = broker;
    await this.#untilConfirmed(orders * 0.6);
    for (let kill = 1; kill <= 3 && this.#cast.orders.unknown === 0 && !this.#cast.orders.done; kill++) {
      const rush = Math.ceil(orders * saleShare[name]);
      this.#cast.tell(name === 'shop' ? name : 'order-service', { do: 'rush', count: rush });
      await this.#story.until('a sale begins', () => this.#cast.orders.rushing || this.#cast.orders.done, readyMs);
      const before = broker.pid;
      recorder.fault(`${name}-${kill}`, `SIGKILL ${name}`);
      await broker.kill();
      const whom = name === 'shop' ? `with its broker (SIGKILL, pid ${before})` : `(SIGKILL, pid ${before})`;
      this.#story.tell(name, `killed ${whom} while a sale of ${count(rush)} orders rushes in`);
      await this.#story.pause(awayMs.broker);
      if (name === 'broker') this.#tellOpen();

      const startMs = await broker.start();
      recorder.faultProof(`${name}-${kill}`, { kind: 'pid', before, after: broker.pid });
      this.#story.tell(name, `started again on the same journal: it listens after ${Math.round(startMs)} ms`);
      // A shop knows only now what it had written down.
      if (name === 'shop') this.#tellOpen();
      await this.#story.until('the order service connects again', () => !this.#cast.orders.offline, readyMs);
    }
    const { unknown } = this.#cast.orders;
    this.#story.tell(
      'orders',
      `${count(unknown)} had no answer: nobody knows, so they are sent again under the same identity`,
    );
  }

  #tellOpen(): void {
    const { confirmed, open } = this.#cast.orders;
    this.#story.tell('orders', `${count(confirmed)} are confirmed and must be safe, ${count(open)} wait for an answer`);
  }

  /** Until every order is confirmed and every queue is empty and stays so. */
  async #finish(depth: QueueDepth<Service>): Promise<void> {
    const { orders, perSecond } = this.#options;
    await this.#story.until(
      'all orders are confirmed',
      () => this.#cast.orders.done,
      (orders / perSecond) * 1000 + drainMs,
    );
    this.#story.tell('orders', `all ${count(orders)} are confirmed; the services work off what is left`);
    const rest = new Rest();
    const settled = (): boolean => {
      const isIdle = depth.total === 0 && this.#cast.openInAll === 0;
      return rest.isReached(isIdle ? this.#cast.receivedInAll : null, [depth.answers, ...this.#cast.workReports]);
    };
    await this.#story.until('the queues are empty', settled, drainMs);
  }

  #judge(): Verdict {
    const { screen } = this.#options;
    const verdict = judge(this.#historyDirectory, this.#options);
    const colour = verdict.verdict === 'held' ? screen.paint.green : screen.paint.red;
    screen.say('');
    for (const line of tell(verdict, this.#prefix)) screen.say(line.startsWith('lost ') ? colour(line) : line);
    return verdict;
  }

  /** Leaves nothing behind on somebody else's broker, however the demo ends. */
  async #sweep(connection: ReturnType<typeof connectTo>): Promise<void> {
    // A consumer that loses its queue would declare it again.
    await this.#launcher.endAll();
    const swept = (async () => {
      for (const service of services) await connection.queueDelete({ queue: queueOf(this.#prefix, service) });
      await connection.exchangeDelete({ exchange: exchangeOf(this.#prefix) });
    })();
    await Promise.race([swept, sleep(sweepMs, undefined, { ref: false })]).catch((error: unknown) => {
      this.#cast.log('director', `could not delete the demo's queues: ${String(error)}`);
    });
  }

  #queues(): Record<Service, string> {
    return Object.fromEntries(services.map((service) => [service, queueOf(this.#prefix, service)])) as Record<
      Service,
      string
    >;
  }

  #ordersPart(): OrdersPart {
    const { orders, perSecond } = this.#options;
    return { ...this.#common(), orders, perSecond };
  }

  #common(): { url: string; prefix: string; historyDirectory: string } {
    return { url: this.#url, prefix: this.#prefix, historyDirectory: this.#historyDirectory };
  }

  async #untilConfirmed(orders: number): Promise<void> {
    const what = `${count(Math.floor(orders))} orders are confirmed`;
    await this.#story.until(
      what,
      () => this.#cast.orders.confirmed >= orders,
      (orders / this.#options.perSecond) * 1000 + drainMs,
    );
  }

  #show(depth: QueueDepth<Service>): void {
    const { orders, screen } = this.#options;
    if (!screen.isLive) return;
    const { confirmed } = this.#cast.orders;
    const waiting = services.map((service) => `${service} ${count(depth.waiting[service])}`);
    screen.live(`${screen.bar(confirmed, orders, 10)} ${count(confirmed)} confirmed; waiting: ${waiting.join(', ')}`);
  }
}
