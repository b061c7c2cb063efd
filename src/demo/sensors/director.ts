/**
 * Thousands of sensors speak MQTT and publish in bursts; a service that speaks AMQP, and is slower, takes their readings from a durable
 * queue. In the middle of a burst, while acknowledgements are outstanding, the broker is killed. Everything is real: connections,
 * processes, SIGKILL; and the judge is `verify`, not the story.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FileRecorder, type Verdict } from '../../verify/index.ts';
import { BrokerProcess } from '../broker.ts';
import type { Launcher } from '../launch.ts';
import { Players } from '../players.ts';
import { QueueDepth } from '../queue-depth.ts';
import { Rest } from '../rest.ts';
import { count, type Screen } from '../screen.ts';
import { connectTo } from '../store.ts';
import { Story } from '../story.ts';
import {
  bursts,
  queue,
  readingsPerBurst,
  type AggregatorPart,
  type AggregatorReport,
  type SensorsPart,
  type SensorsReport,
} from './field.ts';
import { judge, tell } from './judge.ts';
import { peakMemory } from './peak-memory.ts';

export interface SensorsOptions {
  readonly sensors: number;
  /** Where the broker keeps its data; null: in the demo's own directory. */
  readonly data: string | null;
  /** Program and arguments that are `postrider`. */
  readonly postrider: readonly string[];
  readonly screen: Screen;
  /** Ends the demo; everything is cleaned up before it rejects. */
  readonly signal: AbortSignal;
}

const readyMs = 60_000;
const drainMs = 120_000;
/** What the aggregator does at most. */
const perSecond = 5000;
const awayMs = 600;
/** Between bursts. */
const restMs = 500;
/** Of the burst in which the broker dies, what is acknowledged by then. */
const deadlyShare = 0.2;

export class SensorsDirector {
  readonly #options: SensorsOptions;
  readonly #directory: string;
  readonly #historyDirectory: string;
  readonly #players: Players;
  readonly #story: Story;
  readonly #broker: BrokerProcess;
  readonly #readings: number;
  #sensors: SensorsReport | null = null;
  #aggregator: AggregatorReport | null = null;
  #aggregatorReports = 0;
  #peakMemoryBytes: number | null = null;

  constructor(options: SensorsOptions, directory: string, launcher: Launcher) {
    const { sensors, postrider, screen, signal } = options;
    this.#options = options;
    this.#directory = directory;
    this.#historyDirectory = join(directory, 'history');
    this.#players = new Players(launcher, join(directory, 'logs'));
    this.#story = new Story(screen, 10, signal, () => this.#players.check());
    const data = options.data ?? join(directory, 'data');
    this.#broker = new BrokerProcess({
      launcher,
      postrider,
      data,
      logFile: this.#players.logFile('broker'),
      mqtt: true,
    });
    this.#readings = sensors * bursts * readingsPerBurst;
  }

  async run(): Promise<Verdict> {
    await mkdir(join(this.#directory, 'logs'));
    const recorder = FileRecorder.in(this.#historyDirectory, 'director');
    const startMs = Math.round(await this.#broker.start());
    const { port, mqttPort, url } = this.#broker;
    this.#story.tell('broker', `listens on 127.0.0.1: MQTT on ${mqttPort}, AMQP on ${port}, after ${startMs} ms`);
    const connection = connectTo(url, 'director', (line) => this.#players.log('director', line));
    let peakQueue = 0;
    try {
      await connection.onConnect(readyMs, true);
      await this.#startAggregator();
      await this.#startSensors();
      peakQueue = await this.#play(recorder, new QueueDepth(connection, { readings: queue }, 100));
    } finally {
      connection.unsafeDestroy();
    }
    this.#measure();
    const code = await this.#broker.stop();
    if (code !== 0) throw new Error(`the broker did not stop in order (exit code ${code})`);
    recorder.close();
    return this.#judge(peakQueue);
  }

  /** Answers with the most that waited in the queue. */
  async #play(recorder: FileRecorder, depth: QueueDepth<'readings'>): Promise<number> {
    const showing = setInterval(() => this.#show(depth), 100);
    try {
      for (let burst = 1; burst <= bursts; burst++) {
        this.#tellBurst(burst);
        this.#players.tell('sensors', { do: 'burst' });
        // The first goes undisturbed; later ones strike again only where nothing was outstanding.
        if (burst > 1 && this.#sensors!.unknown === 0) await this.#loseBroker(burst, recorder);
        await this.#story.until(`burst ${burst} is acknowledged`, () => this.#isAnswered(burst), drainMs);
        await this.#story.pause(restMs);
      }
      const { waiting } = depth;
      this.#story.tell('sensors', `all ${count(this.#readings)} readings are acknowledged`);
      this.#story.tell('aggregator', `${count(waiting.readings)} wait for it in its queue; it works them off`);
      await this.#finish(depth);
      await this.#players.dismiss();
    } finally {
      clearInterval(showing);
      depth.close();
      this.#options.screen.live('');
    }
    return depth.peak;
  }

  async #startAggregator(): Promise<void> {
    const part: AggregatorPart = { url: this.#broker.url, historyDirectory: this.#historyDirectory };
    this.#players.start('aggregator', 'sensors/aggregator', part, (report) => {
      this.#aggregator = report as AggregatorReport;
      this.#aggregatorReports += 1;
    });
    await this.#story.until('the aggregator connects', () => this.#aggregator?.ready === true, readyMs);
    this.#story.tell('aggregator', `has a durable queue, over AMQP; it takes ${count(perSecond)} a second at most`);
  }

  async #startSensors(): Promise<void> {
    const { sensors } = this.#options;
    const part: SensorsPart = { port: this.#broker.mqttPort, sensors, historyDirectory: this.#historyDirectory };
    const begun = performance.now();
    this.#players.start('sensors', 'sensors/sensors', part, (report) => {
      this.#sensors = report as SensorsReport;
    });
    await this.#untilConnected();
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    this.#story.tell('sensors', `${count(sensors)} are connected, over MQTT, after ${seconds} s`);
  }

  /** The broker dies with acknowledgements outstanding. */
  async #loseBroker(burst: number, recorder: FileRecorder): Promise<void> {
    const sensors = (): SensorsReport => this.#sensors!;
    const before = sensors().confirmed;
    const enough = before + this.#options.sensors * readingsPerBurst * deadlyShare;
    const isTime = (): boolean => sensors().confirmed > enough && sensors().open > 0;
    await this.#story.until('a burst is half sent', () => isTime() || this.#isAnswered(burst), readyMs);
    const pid = this.#broker.pid;
    this.#measure();
    recorder.fault(`broker-${burst}`, 'SIGKILL broker');
    await this.#broker.kill();
    this.#story.tell('broker', `killed (SIGKILL, pid ${pid}) in the middle of it`);
    await this.#story.pause(awayMs);
    await this.#story.until('the sensors notice', () => sensors().connected === 0, readyMs);
    const { confirmed, unknown, waiting } = sensors();
    this.#story.tell(
      'sensors',
      `${count(confirmed)} readings are acknowledged and must be safe, ${count(unknown)} had no answer, ${count(waiting)} wait`,
    );
    const resumedBefore = sensors().resumed;
    const startMs = await this.#broker.start();
    recorder.faultProof(`broker-${burst}`, { kind: 'pid', before: pid, after: this.#broker.pid });
    this.#story.tell('broker', `started again on the same journal: it listens after ${Math.round(startMs)} ms`);
    await this.#untilConnected();
    const resumed = count(sensors().resumed - resumedBefore);
    this.#story.tell('sensors', `connected again, each after a while of its own; the broker knew ${resumed} sessions`);
    this.#story.tell('sensors', `${count(unknown)} nobody knows of: sent again under the same identity`);
  }

  #untilConnected(): Promise<void> {
    const { sensors } = this.#options;
    return this.#story.until('the sensors connect', () => this.#sensors?.connected === sensors, readyMs + sensors);
  }

  #isAnswered(burst: number): boolean {
    const { taken, confirmed } = this.#sensors!;
    return taken >= burst && confirmed === burst * this.#options.sensors * readingsPerBurst;
  }

  /** Until the queue is empty and stays so. */
  async #finish(depth: QueueDepth<'readings'>): Promise<void> {
    const rest = new Rest();
    const settled = (): boolean => {
      const { open, received } = this.#aggregator!;
      const isIdle = depth.total === 0 && open === 0;
      return rest.isReached(isIdle ? received : null, [depth.answers, this.#aggregatorReports]);
    };
    await this.#story.until('the queue is empty', settled, drainMs + (this.#readings / perSecond) * 3000);
    const means = this.#aggregator!.means.map((mean) => (mean === null ? '-' : mean.toFixed(2)));
    this.#story.tell('aggregator', `mean temperatures of ${means.length} groups: ${means.join(', ')}`);
  }

  #judge(peakQueue: number): Verdict {
    const { screen, sensors } = this.#options;
    const verdict = judge(this.#historyDirectory, this.#readings);
    const colour = verdict.verdict === 'held' ? screen.paint.green : screen.paint.red;
    const run = { sensors, readings: this.#readings, peakQueue, peakMemoryBytes: this.#peakMemoryBytes };
    screen.say('');
    for (const line of tell(verdict, run)) screen.say(line.startsWith('lost ') ? colour(line) : line);
    return verdict;
  }

  /** Before each end of a broker. */
  #measure(): void {
    const bytes = peakMemory(this.#broker.pid);
    if (bytes !== null) this.#peakMemoryBytes = Math.max(bytes, this.#peakMemoryBytes ?? 0);
  }

  #tellBurst(burst: number): void {
    const readings = count(this.#options.sensors * readingsPerBurst);
    const more = burst === 1 ? ', each acknowledged once it is on disk' : '';
    this.#story.tell('sensors', `burst ${burst}: ${readings} readings${more}`);
  }

  #show(depth: QueueDepth<'readings'>): void {
    const { screen } = this.#options;
    if (!screen.isLive) return;
    const confirmed = this.#sensors?.confirmed ?? 0;
    const waiting = count(depth.waiting.readings);
    screen.live(
      `${screen.bar(confirmed, this.#readings, 10)} ${count(confirmed)} acknowledged; waiting in the queue: ${waiting}`,
    );
  }
}
