/** What the verbs' tests say often. */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { connect, type EmbeddedMq, type QueueOptions } from '../../src/index.ts';
import { scratch, start, type Finished } from './postrider.ts';

/** `file:` URL of a directory that is gone after the test, and a way to look into it while no process has it. */
export async function fileBroker(context: TestContext, queues: Readonly<Record<string, QueueOptions>> = {}) {
  const url = `file:${join(await scratch(), 'data')}` as const;
  const open = async <T>(work: (mq: EmbeddedMq) => Promise<T>): Promise<T> => {
    const mq = await connect(url);
    try {
      return await work(mq);
    } finally {
      await mq.close();
    }
  };
  await open(async (mq) => {
    for (const [name, options] of Object.entries(queues)) await mq.queue(name, options);
  });
  return {
    url,
    open,
    run: (args: readonly string[], input = '') => runVerb([...args, '--url', url], input),
    /** Payloads that are ready, oldest first. */
    ready: (name: string) =>
      open(async (mq) => {
        const messages = await (await mq.queue(name, { declare: false })).peek(10_000);
        return messages.map(({ payload }) => payload);
      }),
  };
}

export function runVerb(args: readonly string[], input = '', env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  const running = start(args, env);
  running.child.stdin?.on('error', () => undefined).end(input);
  return running.finished;
}

export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** A broker of the test's own behind an `amqp:` URL. */
export async function servedBroker(context: TestContext, queues: Readonly<Record<string, QueueOptions>> = {}) {
  const mq = await connect('memory:');
  context.after(() => mq.close({ graceMs: 0 }));
  const { amqp } = await mq.listen({ amqp: { port: 0 } });
  for (const [name, options] of Object.entries(queues)) await mq.queue(name, options);
  const url = `amqp://127.0.0.1:${amqp!.port}`;
  return { mq, url, run: (args: readonly string[], input = '') => runVerb([...args, '--url', url], input) };
}
