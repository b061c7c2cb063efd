/** Celery with kombu: tasks with results over rpc://, retries, countdown and ETA, and a worker killed while it has a task that acknowledges late. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { scratch } from '../cli/postrider.ts';
import { installed } from './client-install.ts';
import { target } from './target.ts';

const { url, bugs } = await target();
const source = (name: string): URL => new URL(`celery/${name}`, import.meta.url);
const { directory, skip } = installed({
  name: 'celery',
  needs: "Python's venv (python3-venv)",
  probe: ['python3', '-c', 'import ensurepip'],
  files: [source('requirements.txt')],
  cwd: source(''),
  commands: (into) => [
    ['python3', '-m', 'venv', into],
    [join(into, 'bin', 'pip'), 'install', '--quiet', '--requirement', 'requirements.txt'],
  ],
});
const python = join(directory, 'bin', 'python');

for (const queueType of ['classic', 'quorum']) {
  test(`Celery, its tasks in ${queueType} queues`, { skip, timeout: 300_000 }, async (context) => {
    const env = {
      ...process.env,
      POSTRIDER_URL: `${url}//`,
      STORE_QUEUE_TYPE: queueType,
      PYTHONDONTWRITEBYTECODE: '1',
    };
    const options = { cwd: fileURLToPath(source('')), env };
    const first = worker('first');
    const started = join(await scratch(), 'started');
    const scene = spawn(python, ['store_scene.py', started], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = once(scene, 'close');
    const said = textOf(scene);
    context.after(() => scene.kill('SIGKILL'));

    let second: Worker | null = null;
    for await (const line of createInterface({ input: scene.stdout })) {
      if (line !== 'kill') continue;
      await first.end('SIGKILL');
      second = worker('second');
    }
    const [code] = (await ended) as [number | null];
    assert.equal(code, 0, `${said()}\n${first.said()}\n${second?.said() ?? ''}`);
    assert.equal((JSON.parse(said().trim().split('\n').at(-1)!) as { left: number }).left, 0);
    await second?.end('SIGTERM');
    assert.deepEqual(bugs(), []);

    function worker(name: string): Worker {
      const args = ['-m', 'celery', '--app', 'store_tasks', 'worker', '--hostname', `${name}@%h`, '--concurrency', '2'];
      return new Worker(
        context,
        spawn(python, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] }),
      );
    }
  });
}

/** A worker and the processes that do its tasks: a process group. */
class Worker {
  readonly said: () => string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(context: TestContext, child: ChildProcess) {
    this.#child = child;
    this.said = textOf(child);
    this.#ended = once(child, 'close');
    context.after(() => this.end('SIGKILL'));
  }

  /** SIGKILL ends all of them at once, SIGTERM lets the worker finish. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    process.kill(signal === 'SIGKILL' ? -pid : pid, signal);
    await this.#ended;
  }
}

/** All that it has written so far. */
function textOf({ stdout, stderr }: ChildProcess): () => string {
  let text = '';
  for (const stream of [stdout, stderr]) stream?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return () => text;
}
