import { fork, type ChildProcess } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Answered } from './load.ts';

/** Runs as compiled JavaScript from dist, and as TypeScript where the parent runs from src. */
const extension = extname(fileURLToPath(import.meta.url));

type LoadProgram =
  'producer' | 'consumer' | 'api/orders-process' | 'mqtt/producer' | 'mqtt/consumer' | 'mqtt/idle-connections';

/** One side of the load in a process of its own: requests go over IPC, one answer each. */
export class LoadProcess<Request> {
  /** Why this process can't go on, once it can't. */
  failure: Error | undefined;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (cause: Error) => void }>();
  #lastId = 0;

  /** `program`: a module of this folder, without its extension. */
  constructor(program: LoadProgram) {
    this.#child = fork(fileURLToPath(new URL(`./${program}${extension}`, import.meta.url)), {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child.on('message', (message) => this.#take(message as Answered));
    this.#child.on('exit', (code, signal) => {
      this.#fail(new Error(`the ${program} process ended (${signal ?? `code ${code}`})`));
    });
  }

  ask<Answer>(request: Request): Promise<Answer> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#child.send({ id, request });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Ends the process; it holds nothing worth saving. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }

  #take(message: Answered): void {
    if ('failure' in message) {
      this.#fail(new Error(message.failure));
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if ('error' in message) waiting?.reject(new Error(message.error));
    else waiting?.resolve(message.value);
  }

  #fail(cause: Error): void {
    this.failure ??= cause;
    for (const { reject } of this.#waiting.values()) reject(this.failure);
    this.#waiting.clear();
  }
}
