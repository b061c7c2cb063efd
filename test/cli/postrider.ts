/** Runs the command line from its sources, as a process. */
import { spawn, type ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Program and arguments that are `postrider`. */
export const postrider: readonly string[] = [
  process.execPath,
  '--import',
  import.meta.resolve('tsx'),
  join(root, 'src/cli/main.ts'),
];

/** For `serve`: what is tested is not MQTT, and its ports are for one broker at a time. */
export const withoutMqtt: readonly string[] = ['--mqtt-port', 'off', '--ws-port', 'off'];

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  /** The next line of standard output. */
  line(): Promise<string>;
  readonly finished: Promise<Finished>;
}

export function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const [program = '', ...first] = postrider;
  const child = spawn(program, [...first, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  // Whatever a test does, no process of its outlives it by long.
  const patience = setTimeout(() => child.kill('SIGKILL'), 300_000).unref();
  let stdout = '';
  let stderr = '';
  let read = 0;
  const waiting = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    for (const wake of waiting) wake();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const finished = new Promise<Finished>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(patience);
      resolve({ code, signal, stdout, stderr });
      for (const wake of waiting) wake();
    });
  });
  return {
    child,
    finished,
    async line() {
      for (;;) {
        const end = stdout.indexOf('\n', read);
        if (end >= 0) {
          const text = stdout.slice(read, end);
          read = end + 1;
          return text;
        }
        if (child.exitCode !== null || child.signalCode !== null) {
          throw new Error(`ended (${child.signalCode ?? child.exitCode}) before it said anything: ${stderr}`);
        }
        await new Promise<void>((resolve) => {
          const wake = (): void => {
            waiting.delete(wake);
            resolve();
          };
          waiting.add(wake);
        });
      }
    },
  };
}

export function run(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Finished> {
  const running = start(args, env);
  running.child.stdin?.end();
  return running.finished;
}

const scratched: string[] = [];
process.once('exit', () => {
  for (const directory of scratched) rmSync(directory, { recursive: true, force: true });
});

/** A directory that is gone after the tests of a file: a test's hooks run in the order they were given, and its broker may still write. */
export async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-cli-'));
  scratched.push(directory);
  return directory;
}
