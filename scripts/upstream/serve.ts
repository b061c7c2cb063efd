import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The suites that are run against these speak AMQP. */
const withoutMqtt = ['mqtt', 'ws', 'mqtts', 'wss'].flatMap((protocol) => [`--${protocol}-port`, 'off']);

/**
 * Starts a Postrider on port 5672 of 127.0.0.1, its journal in `scratch`, and one on that of ::1, for tests that connect to `localhost` in
 * either way. `options` are for the first. Returns what stops them.
 */
export async function serveOnStandardPort(scratch: string, options: readonly string[]): Promise<() => Promise<void>> {
  const brokers: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const broker of brokers) {
      if (broker.exitCode !== null || broker.signalCode !== null) continue;
      broker.kill('SIGTERM');
      await once(broker, 'exit');
    }
  };
  try {
    const logPath = join(scratch, 'serve.log');
    brokers.push(await serve(['--host', '127.0.0.1', '--data', join(scratch, 'data'), ...options], logPath));
    brokers.push(await serve(['--host', '::1', '--data', 'memory:'], logPath));
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

async function serve(options: readonly string[], logPath: string): Promise<ChildProcess> {
  const args = ['--import', 'tsx', 'src/cli/main.ts', 'serve', ...withoutMqtt, ...options, '--json'];
  const broker = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const log = createWriteStream(logPath, { flags: 'a' });
  broker.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
    log.write(chunk);
  });
  const ended = once(broker, 'exit').then(() => {
    throw new Error(`no Postrider with ${options.join(' ')}: ${said.trim()}`);
  });
  // It is awaited only until the broker listens.
  ended.catch(() => undefined);
  await Promise.race([once(broker.stdout, 'data'), ended]);
  return broker;
}
