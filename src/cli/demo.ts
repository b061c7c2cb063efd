/** `postrider demo`: real programs on a broker that is killed and restarted, and a verdict. A store, or a field of sensors. */
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type * as RunDemo from '../demo/run-demo.ts';
import type { Screen } from '../demo/screen.ts';
import type { Verdict } from '../verify/index.ts';
import { CommandError } from './command-error.ts';
import { connectionsWithin, descriptorLimit } from './descriptor-limit.ts';
import { exitCode, signalExitCode } from './exit-code.ts';

const examples = `
Scenes:
  store      a store's orders, over AMQP: a service is killed, then the broker (the default)
  sensors    sensors publish in bursts over MQTT, a slower service takes their readings over AMQP; the broker is killed in the middle

Examples:
  postrider demo                     12,000 orders, about 20 seconds
  postrider demo --embedded          the shop has the broker inside; the services connect to it
  postrider demo --orders 30000      a longer one
  postrider demo --orders 2000 --rate 500
  postrider demo sensors             5,000 connections, 60,000 readings, about 25 seconds
  postrider demo sensors --sensors 500

It starts a broker on free ports with its data in a temporary directory, and removes both when it ends.
With --embedded everybody uses the TypeScript API: the shop connects to file:, and listens; the services connect to amqp:.
Exit code 0: nothing confirmed was lost. 1: something was, or a step failed; it says what, and where the logs are.`;

const scenes = ['store', 'sensors'] as const;
type Scene = (typeof scenes)[number];

interface Options {
  readonly orders: number;
  readonly rate: number;
  readonly embedded?: boolean;
  readonly sensors: number;
  readonly url?: string;
  readonly data?: string;
}

/** Which scene an option belongs to; the others belong to both. */
const sceneOf: Readonly<Record<string, Scene>> = {
  orders: 'store',
  rate: 'store',
  embedded: 'store',
  url: 'store',
  sensors: 'sensors',
};

/** A machine has 28,000 ports for connections to one place, and each sensor takes one. */
const mostSensors = 20_000;
/** A process of the scene has files of its own beside a connection for each sensor. */
const spareConnections = 16;

export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description('what is confirmed survives the kill of services and of the broker')
    .addArgument(program.createArgument('[scene]', 'what is played (default: store)').choices(scenes))
    .option('--orders <COUNT>', 'store: orders to place (default: 12000)', wholeNumber('--orders'), 12_000)
    .option('--rate <COUNT>', 'store: orders a second (default: 1000)', wholeNumber('--rate'), 1000)
    .option('--embedded', 'store: the same with the broker inside the shop, in TypeScript API calls')
    .option('--sensors <COUNT>', 'sensors: how many there are (default: 5000)', wholeNumber('--sensors'), 5000)
    .addOption(
      program
        .createOption('--url <URL>', "play on another broker's amqp:// address, which is then not killed")
        .argParser(amqpUrl)
        .hideHelp(),
    )
    .addOption(program.createOption('--data <DIR|memory:>', "data of the demo's broker; memory: loses").hideHelp())
    .addHelpText('after', examples)
    .action(async (scene: Scene = 'store', options: Options, command: Command) => {
      for (const [name, owner] of Object.entries(sceneOf)) {
        if (owner === scene || command.getOptionValueSource(name) !== 'cli') continue;
        const whose = owner === 'store' ? 'the store' : 'the sensors';
        const instead = owner === 'store' ? '"postrider demo"' : '"postrider demo sensors"';
        throw new CommandError(exitCode.usage, `--${name} belongs to the scene of ${whose}: ${instead}`);
      }
      await (scene === 'store' ? playStore(options) : playSensors(options));
    });
}

async function playStore({ orders, rate, embedded = false, url, data }: Options): Promise<void> {
  if (embedded && url !== undefined) {
    throw new CommandError(
      exitCode.usage,
      '--embedded has its broker in the shop, and so no --url; leave one of them out',
    );
  }
  await play(({ runStore }, stage) =>
    runStore({ ...stage, orders, perSecond: rate, embedded, url: url ?? null, data: data ?? null }),
  );
}

async function playSensors({ sensors, data }: Options): Promise<void> {
  if (sensors > mostSensors) {
    throw new CommandError(exitCode.usage, `--sensors may be ${mostSensors} at most, not ${sensors}`);
  }
  const limit = descriptorLimit();
  const most = limit === undefined ? sensors : connectionsWithin(limit) - spareConnections;
  if (sensors > most) {
    throw new CommandError(
      exitCode.failed,
      `${sensors} sensors are as many connections, and a process may have ${limit} files and connections open here: ` +
        `raise that first (ulimit -n ${sensors + 1000}), or take fewer: --sensors ${most}`,
    );
  }
  await play(({ runSensors }, stage) => runSensors({ ...stage, sensors, data: data ?? null }));
}

async function play(
  scene: (
    demo: typeof RunDemo,
    stage: { postrider: readonly string[]; screen: Screen; signal: AbortSignal },
  ) => Promise<Verdict>,
): Promise<void> {
  const demo = await import('../demo/run-demo.ts');
  const { Terminal } = await import('./terminal.ts');
  const interrupted = new AbortController();
  const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => {
    process.exitCode = signalExitCode[signal];
    interrupted.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    const verdict = await scene(demo, {
      postrider: [process.execPath, ...process.execArgv, fileURLToPath(mainUrl)],
      screen: new Terminal(process.stdout),
      signal: interrupted.signal,
    });
    process.exitCode = verdict.verdict === 'held' ? exitCode.done : exitCode.failed;
  } catch (error) {
    if (interrupted.signal.aborted) return;
    if (error instanceof demo.DemoError) throw new CommandError(exitCode.failed, error.message, { cause: error });
    throw error;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** main.ts in the sources, main.js in dist. */
const mainUrl = new URL(`./main${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`, import.meta.url);

function amqpUrl(text: string): string {
  if (URL.canParse(text) && /^amqps?:$/.test(new URL(text).protocol)) return text;
  const wanted = 'an address such as amqp://localhost:5672';
  throw new CommandError(exitCode.usage, `--url must be ${wanted}, not ${JSON.stringify(text)}`);
}

function wholeNumber(option: string): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
    if (value < 1)
      throw new CommandError(exitCode.usage, `${option} must be a whole number from 1, not ${JSON.stringify(text)}`);
    return value;
  };
}
