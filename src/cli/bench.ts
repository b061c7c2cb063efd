/** `postrider bench`: the loads of bench/README.md against this broker and the peers found on this machine. */
import { InvalidArgumentError, type Command } from 'commander';
import type { Orders } from '../bench/api/orders.ts';
import type { BenchPlan } from '../bench/bench.ts';
import type { Broker, Running } from '../bench/broker.ts';
import type { MqttBroker } from '../bench/mqtt/load-run.ts';
import type { BenchResult, RowResult } from '../bench/result.ts';
import type { Suite } from '../bench/suite.ts';
import { CommandError } from './command-error.ts';
import { exitCode, signalExitCode } from './exit-code.ts';
import { Terminal } from './terminal.ts';

const examples = `
Examples:
  postrider bench --quick                            a few rows, a second each: does it run, is every message right
  postrider bench                                    everything; takes about 40 minutes
  postrider bench --suites mqtt                      the rows of MQTT
  postrider bench --rows pair-100b,mqtt-qos1         these rows alone
  postrider bench --peer lavinmq=amqp://127.0.0.1:5673
  postrider bench --rows memory-10m --messages 1000000

RabbitMQ is a peer where it is installed, and so are Mosquitto, Aedes and BullMQ with Redis: the benchmark starts its own and stops them. Exit code 1 when a
message was lost, duplicated, reordered or altered, or a row could not be measured here; missed goals are told, no more.`;

interface Options {
  quick?: boolean;
  suites?: string[];
  rows?: string[];
  rounds?: number;
  seconds?: number;
  messages: number;
  connections: number;
  peer?: string[];
  url?: string;
  rabbitmq: boolean;
  longRowsForPeers?: boolean;
  data?: string;
  out: string;
  json?: boolean;
}

export function registerBench(program: Command): void {
  program
    .command('bench')
    .description(
      'measure this broker and its API, against RabbitMQ, Mosquitto, Aedes and BullMQ where they are installed',
    )
    .option('--quick', 'few rows, one round of a second each, under a minute in all')
    .option('--suites <SUITE,...>', 'only these suites of rows: amqp, mqtt, api, api-amqp', list)
    .option('--rows <ROW,...>', 'only these rows (--rows list names them)', list)
    .option('--rounds <N>', 'rounds a row (default: 3)', atLeast(1))
    .option('--seconds <S>', 'measured seconds a round (default: 5)', atLeast(0.2))
    .option('--messages <N>', 'messages in the long rows', atLeast(1), 10_000_000)
    .option(
      '--connections <N>',
      'connections in memory-connection; mqtt-memory-connection has five times as many',
      atLeast(1),
      2000,
    )
    .option('--peer <NAME=URL>', 'another AMQP broker to compare with; may be repeated', collect)
    .option('--url <URL>', 'measure a broker that runs already instead of starting one')
    .option('--no-rabbitmq', 'leave RabbitMQ out')
    .option('--long-rows-for-peers', 'start-up, memory and recovery rows for RabbitMQ too (slow, and large)')
    .option('--data <DIR>', 'where brokers keep their data (default: a temporary folder on a disk)')
    .option('--out <DIR>', 'where results go', 'bench/results')
    .option('--json', 'print the results as JSON, one for each suite of rows')
    .addHelpText('after', examples)
    .action(bench);
}

async function bench(options: Options): Promise<void> {
  const terminal = new Terminal(process.stderr);
  const say = (line: string): void => {
    terminal.say(line);
  };
  const { amqp, mqtt, api } = await suitesOf(options, say);
  const known = [...amqp.rows, ...mqtt.flatMap(({ rows }) => rows), ...api.flatMap(({ rows }) => rows)];
  if (options.rows?.includes('list') === true) {
    for (const row of known) process.stdout.write(`${row.id.padEnd(24)}${row.title}\n`);
    return;
  }
  for (const id of options.rows ?? []) {
    if (known.some((row) => row.id === id)) continue;
    throw usage(`--rows: there is no row "${id}"; there are ${known.map((row) => row.id).join(', ')}`);
  }
  const suites = [amqp, ...mqtt, ...api].map(({ id }) => id);
  for (const id of options.suites ?? []) {
    if (suites.includes(id)) continue;
    throw usage(`--suites: there is no suite "${id}"; there are ${suites.join(', ')}`);
  }
  const interrupted = new AbortController();
  const releaseSignals = onSignal((signal) => {
    // The second one does not wait for brokers to stop; exiting takes them along.
    if (interrupted.signal.aborted) process.exit(signalExitCode[signal]);
    process.exitCode = signalExitCode[signal];
    terminal.say('stopping; once more to stop at once');
    interrupted.abort(new Error('interrupted'));
  });
  try {
    const results = [await runSuite(amqp, options, interrupted.signal, terminal)];
    for (const suite of mqtt) results.push(await runSuite(suite, options, interrupted.signal, terminal));
    for (const suite of api) results.push(await runSuite(suite, options, interrupted.signal, terminal));
    if (options.json === true)
      process.stdout.write(
        `${JSON.stringify(
          results.filter((result) => result !== null),
          null,
          2,
        )}\n`,
      );
  } catch (cause) {
    terminal.live('');
    if (!interrupted.signal.aborted) throw cause;
    // What the interrupted row was doing is of no use any more.
    process.exit();
  } finally {
    releaseSignals();
  }
}

/** Null: none of its rows was asked for. */
async function runSuite<R extends Running>(
  suite: Suite<R>,
  options: Options,
  signal: AbortSignal,
  terminal: Terminal,
): Promise<BenchResult | null> {
  if (options.suites?.includes(suite.id) === false) return null;
  const quick = options.quick === true;
  const wanted = options.rows;
  const rows = suite.rows.filter((row) =>
    wanted === undefined ? !quick || (row.kind === 'compared' && row.quick) : wanted.includes(row.id),
  );
  if (rows.length === 0) return null;
  const plan: BenchPlan<R> = {
    ...suite,
    rows,
    quick,
    rounds: options.rounds ?? (quick ? 1 : 3),
    seconds: options.seconds ?? (quick ? 1 : 5),
    warmupSeconds: quick ? 0.5 : 2,
    messages: Math.floor(options.messages),
    connections: Math.floor(options.connections),
    longRowsForAll: options.longRowsForPeers === true,
    ...(options.data === undefined ? {} : { dataDir: options.data }),
    signal,
  };
  const subject = plan.contenders[0]?.name ?? '';
  const { runBench } = await import('../bench/bench.ts');
  const result = await runBench(plan, {
    note: (text) => {
      terminal.say(text);
    },
    step: (text) => {
      terminal.live(text);
    },
    row: (row) => {
      terminal.say(rowLine(row, subject, suite.reference.label));
    },
  });
  terminal.live('');
  const { writeResult } = await import('../bench/write-result.ts');
  const name = `${suite.id}${quick ? '-quick' : wanted === undefined ? '' : '-partial'}`;
  const files = await writeResult(result, options.out, name);
  if (options.json !== true) {
    const { formatTable } = await import('../bench/table.ts');
    process.stdout.write(`\n${formatTable(result, new Terminal(process.stdout).paint)}\n`);
  }
  terminal.say(`written: ${files.join(', ')}`);
  if (result.rows.some((row) => row.problems.some((problem) => fails(problem, subject)))) {
    process.exitCode = exitCode.failed;
  }
  return result;
}

interface Suites {
  readonly amqp: Suite<Broker>;
  readonly mqtt: readonly Suite<MqttBroker>[];
  readonly api: readonly Suite<Orders>[];
}

async function suitesOf(options: Options, note: (line: string) => void): Promise<Suites> {
  const { rows } = await import('../bench/rows.ts');
  const { mqttSuite } = await import('../bench/mqtt/suite.ts');
  const { apiSuite, remoteApiSuite } = await import('../bench/api/suites.ts');
  const amqp: Suite<Broker> = {
    id: 'amqp',
    title: 'AMQP 0-9-1, persistent messages, publisher confirms',
    reference: { name: 'rabbitmq', label: 'RabbitMQ' },
    contenders: await contendersOf(options, note),
    rows,
  };
  // A broker that runs already was given by its AMQP address, and has no API to measure.
  if (options.url !== undefined) return { amqp, mqtt: [], api: [] };
  return { amqp, mqtt: [mqttSuite(note)], api: [apiSuite(note), remoteApiSuite()] };
}

/** Who takes part over AMQP; the first is measured, the others are what it is measured against. */
async function contendersOf(options: Options, note: (line: string) => void): Promise<Suite<Broker>['contenders']> {
  const { parsePeer, remote } = await import('../bench/remote.ts');
  const { postrider } = await import('../bench/postrider.ts');
  const { findRabbitMq } = await import('../bench/rabbitmq.ts');
  try {
    const peers = (options.peer ?? []).map(parsePeer);
    const subject = options.url === undefined ? postrider : remote('postrider', options.url);
    const rabbitMq = options.rabbitmq && !peers.some(({ name }) => name === 'rabbitmq') ? findRabbitMq() : undefined;
    if (options.rabbitmq && rabbitMq === undefined && peers.every(({ name }) => name !== 'rabbitmq')) {
      note('RabbitMQ is not installed here (Debian: apt-get install rabbitmq-server); rows run without ratios');
    }
    return [subject, ...(rabbitMq === undefined ? [] : [rabbitMq]), ...peers];
  } catch (cause) {
    throw usage(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** A wrong message fails the run whoever sent it; a round that did not end does so only for the broker under test. */
function fails({ contender, integrity }: RowResult['problems'][number], subject: string): boolean {
  return integrity || contender === subject;
}

/** One line for a row that is done, so that a long run shows something where nobody watches a terminal. */
function rowLine(row: RowResult, subject: string, reference: string): string {
  const figures = row.metrics.map((metric) => {
    const ratio = metric.ratios[subject];
    const figure = metric.figures[subject];
    const median = figure === undefined ? 'not measured' : `${round(figure.median)} ${metric.unit}`;
    return `${metric.label} ${median}${ratio === undefined ? '' : ` (${round(ratio)} x ${reference})`}`;
  });
  const problems = row.problems.map(({ contender, problem }) => `  PROBLEM with ${contender}: ${problem}`);
  return [`${row.id}: ${figures.join(', ')}`, ...problems].join('\n');
}

function round(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toFixed(2);
}

function onSignal(handle: (signal: 'SIGINT' | 'SIGTERM') => void): () => void {
  process.on('SIGINT', handle);
  process.on('SIGTERM', handle);
  return () => {
    process.off('SIGINT', handle);
    process.off('SIGTERM', handle);
  };
}

function usage(message: string, cause?: unknown): CommandError {
  return new CommandError(exitCode.usage, message, { cause });
}

function list(text: string): string[] {
  return text.split(',').filter((part) => part !== '');
}

function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
}

function atLeast(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || value < least) {
      throw new InvalidArgumentError(`It must be a number of at least ${least}.`);
    }
    return value;
  };
}
