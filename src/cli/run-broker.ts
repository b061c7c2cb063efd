/** The life of a served broker: address, data, listener; then whatever ends it. */
import { resolve } from 'node:path';
import { Broker } from '../broker/index.ts';
import type { ServeSettings } from '../config/serve-settings.ts';
import { EngineError } from '../engine/errors.ts';
import { openLocal } from '../engine/local/index.ts';
import { version } from '../version.ts';
import { AmqpServer, defaultAmqpSettings, type AmqpSettings } from '../server/amqp/index.ts';
import { CommandError } from './command-error.ts';
import { connectionsWithin, descriptorLimit } from './descriptor-limit.ts';
import { exitCode, signalExitCode } from './exit-code.ts';
import { address, listenError, tryAddress } from './listen-error.ts';
import { reportError, say } from './report-error.ts';

const portOption = '--amqp-port';
/** As long a full disk may stay full while the broker starts. */
const roomWithinMs = 2_000;
const ignore = (): void => undefined;

/** Resolves once it listens; the process then lives until something ends it. @throws CommandError, EngineError */
export async function runBroker(settings: ServeSettings, stopWithParent: boolean): Promise<void> {
  const { data, host, amqpPort } = settings;
  // Before the data directory is touched: an address that is taken must leave no trace.
  if (amqpPort !== 0) await tryAddress(host, amqpPort, portOption);

  // Whole: what is told in a log at night must not depend on where the process was started.
  const directory = data === 'memory:' ? data : resolve(data);
  const broker = new Broker({ engine: openLocal(directory), log: say });
  broker.onFailed(endFailed);
  await open(broker, directory).catch((error: unknown) => {
    throw withAdvice(error, directory);
  });
  const amqp = new AmqpServer({ broker, version, log: say, settings: connectionLimit() });
  let port: number;
  try {
    ({ port } = await amqp.listen(host, amqpPort));
  } catch (error) {
    await broker.close();
    throw listenError(error, host, amqpPort, portOption);
  }
  endOnSignal(async () => {
    await amqp.close();
    await broker.close();
  }, stopWithParent);
  announce(settings, port);
}

function connectionLimit(): Partial<AmqpSettings> {
  const limit = descriptorLimit();
  if (limit === undefined) return {};
  return { maxConnections: Math.min(connectionsWithin(limit), defaultAmqpSettings.maxConnections) };
}

/** Opens the broker, and refuses where an engine would wait for room on the disk without being able to serve meanwhile. */
async function open(broker: Broker, directory: string): Promise<void> {
  let patience: NodeJS.Timeout | undefined;
  let unsubscribe = ignore;
  const refused = new Promise<never>((_, reject) => {
    const text = `${directory} has no room for the journal: no space is left on the disk; make some, and start again`;
    // This timer also keeps the process alive, which those of the engine don't.
    const wait = (): void => {
      patience ??= setTimeout(() => reject(new CommandError(exitCode.data, text)), roomWithinMs);
    };
    unsubscribe = broker.pressure.subscribe({ blocked: wait, unblocked: ignore, behind: ignore, caughtUp: ignore });
  });
  try {
    await Promise.race([broker.open(), refused]);
  } finally {
    clearTimeout(patience);
    unsubscribe();
  }
}

function withAdvice(error: unknown, directory: string): unknown {
  if (!(error instanceof EngineError) || error.code !== 'CORRUPT') return error;
  const advice = `nothing was changed; postrider inspect ${directory} tells what is damaged, a copy can replace it`;
  return new CommandError(exitCode.data, `${error.message}; ${advice}`, { cause: error });
}

function announce({ data, host, json }: ServeSettings, port: number): void {
  process.stdout.on('error', () => undefined);
  const line = json
    ? JSON.stringify({ event: 'listening', pid: process.pid, ports: { amqp: port }, data, version })
    : `postrider ${version}: AMQP 0-9-1 on ${address(host, port)}, data in ${data}; Ctrl-C stops it`;
  process.stdout.write(`${line}\n`);
}

/** Nothing more can be confirmed, so clients must see the connection break, now. */
function endFailed(error: EngineError): void {
  reportError(error);
  process.exit(exitCode.engine);
}

function endOnSignal(close: () => Promise<void>, stopWithParent: boolean): void {
  let closing = false;
  const stop = (signal: 'SIGINT' | 'SIGTERM'): void => {
    if (closing) process.exit(signalExitCode[signal]);
    closing = true;
    close().then(
      () => process.exit(exitCode.done),
      (error: unknown) => process.exit(reportError(error)),
    );
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  if (stopWithParent)
    process.stdin
      .on('error', () => undefined)
      .on('close', () => stop('SIGTERM'))
      .resume();
}
