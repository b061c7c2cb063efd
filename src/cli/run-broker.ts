/** The life of a served broker: addresses, data, listeners; then whatever ends it. */
import { resolve } from 'node:path';
import { Broker } from '../broker/index.ts';
import type { ServeSettings } from '../config/serve-settings.ts';
import { EngineError } from '../engine/errors.ts';
import { openLocal } from '../engine/local/index.ts';
import { version } from '../version.ts';
import { CommandError } from './command-error.ts';
import { exitCode, signalExitCode } from './exit-code.ts';
import { tryAddress } from './listen-error.ts';
import { LogLines } from './log-lines.ts';
import { reportError } from './report-error.ts';
import { Servers } from './servers.ts';
import { TlsFiles } from './tls-files.ts';
import { places, waysIn, type Ports } from './ways-in.ts';

/** Resolves once it listens; the process then lives until something ends it. @throws CommandError, EngineError */
export async function runBroker(settings: ServeSettings, stopWithParent: boolean): Promise<void> {
  const { data, host } = settings;
  const tls = TlsFiles.of(settings);
  const ways = waysIn(settings, tls !== null);
  // Before the data directory is touched: an address that is taken must leave no trace.
  for (const { port, option } of ways) if (port !== 0) await tryAddress(host, port, option);

  // Whole: what is told in a log at night must not depend on where the process was started.
  const directory = data === 'memory:' ? data : resolve(data);
  const { say } = new LogLines(process.stderr);
  const { maxQueues, maxExchanges, maxBindings, maxArgumentBytes, mqttExchange } = settings;
  const brokerSettings = { maxQueues, maxExchanges, maxBindings, maxArgumentBytes, mqttExchange };
  const broker = new Broker({ engine: openLocal(directory), log: say, settings: brokerSettings });
  broker.onFailed(endFailed);
  await broker.open().catch((error: unknown) => {
    throw withAdvice(error, directory);
  });
  const servers = await Servers.of(broker, ways, settings, say);
  let ports: Ports;
  try {
    ports = await servers.listen(host, ways, tls);
  } catch (error) {
    await servers.close();
    await broker.close();
    throw error;
  }
  tls?.watch((identity) => servers.setTlsIdentity(identity), say);
  endOnSignal(async () => {
    tls?.unwatch();
    await servers.close();
    await broker.close();
  }, stopWithParent);
  announce(settings, ports);
}

function withAdvice(error: unknown, directory: string): unknown {
  if (!(error instanceof EngineError)) return error;
  // The engine knows nothing of options.
  if (/\bchoose [\w ]+$/.test(error.message))
    return new CommandError(exitCode.data, `${error.message} (--data)`, { cause: error });
  if (error.code !== 'CORRUPT') return error;
  const advice = `nothing was changed; postrider inspect ${directory} tells what is damaged, a copy can replace it`;
  return new CommandError(exitCode.data, `${error.message}; ${advice}`, { cause: error });
}

function announce({ data, host, json }: ServeSettings, ports: Ports): void {
  process.stdout.on('error', () => undefined);
  const line = json
    ? JSON.stringify({ event: 'listening', pid: process.pid, ports, data, version })
    : `postrider ${version}: ${places(host, ports)}, data in ${data}; Ctrl-C stops it`;
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
