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
import { LogLines } from './log-lines.ts';
import { reportError } from './report-error.ts';
import { TlsFiles } from './tls-files.ts';

const portOption = '--amqp-port';
const tlsPortOption = '--amqps-port';

interface Ports {
  amqp?: number;
  amqps?: number;
}

/** Resolves once it listens; the process then lives until something ends it. @throws CommandError, EngineError */
export async function runBroker(settings: ServeSettings, stopWithParent: boolean): Promise<void> {
  const { data, host, amqpPort, amqpsPort } = settings;
  const tls = TlsFiles.of(settings);
  if (amqpPort === 'off' && tls === null) {
    throw new CommandError(exitCode.usage, '--amqp-port off leaves nothing to serve without --tls-cert and --tls-key');
  }
  // Before the data directory is touched: an address that is taken must leave no trace.
  if (amqpPort !== 0 && amqpPort !== 'off') await tryAddress(host, amqpPort, portOption);
  if (amqpsPort !== 0 && tls !== null) await tryAddress(host, amqpsPort, tlsPortOption);

  // Whole: what is told in a log at night must not depend on where the process was started.
  const directory = data === 'memory:' ? data : resolve(data);
  const { say } = new LogLines(process.stderr);
  const { maxQueues, maxExchanges, maxBindings, maxArgumentBytes } = settings;
  const limits = { maxQueues, maxExchanges, maxBindings, maxArgumentBytes };
  const broker = new Broker({ engine: openLocal(directory), log: say, settings: limits });
  broker.onFailed(endFailed);
  await broker.open().catch((error: unknown) => {
    throw withAdvice(error, directory);
  });
  const amqp = new AmqpServer({ broker, version, log: say, settings: amqpSettings(settings) });
  const ports: Ports = {};
  try {
    if (amqpPort !== 'off') ports.amqp = await listening(amqp.listen(host, amqpPort), host, amqpPort, portOption);
    if (tls !== null) {
      ports.amqps = await listening(amqp.listenTls(host, amqpsPort, tls.identity), host, amqpsPort, tlsPortOption);
    }
  } catch (error) {
    await amqp.close();
    await broker.close();
    throw error;
  }
  tls?.watch((identity) => amqp.setTlsIdentity(identity), say);
  endOnSignal(async () => {
    tls?.unwatch();
    await amqp.close();
    await broker.close();
  }, stopWithParent);
  announce(settings, ports);
}

/** @throws CommandError */
async function listening(
  listen: Promise<{ readonly port: number }>,
  host: string,
  port: number,
  option: string,
): Promise<number> {
  try {
    return (await listen).port;
  } catch (error) {
    throw listenError(error, host, port, option);
  }
}

function amqpSettings({ consumerTimeout }: ServeSettings): Partial<AmqpSettings> {
  const consumerTimeoutMs = consumerTimeout * 1000;
  const limit = descriptorLimit();
  if (limit === undefined) return { consumerTimeoutMs };
  const maxConnections = Math.min(connectionsWithin(limit), defaultAmqpSettings.maxConnections);
  return { consumerTimeoutMs, maxConnections };
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
    : `postrider ${version}: AMQP 0-9-1 on ${places(host, ports)}, data in ${data}; Ctrl-C stops it`;
  process.stdout.write(`${line}\n`);
}

function places(host: string, { amqp, amqps }: Ports): string {
  const plain = amqp === undefined ? [] : [address(host, amqp)];
  return [...plain, ...(amqps === undefined ? [] : [`${address(host, amqps)} (TLS)`])].join(' and ');
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
