/** What a case of the API's suite gets, and what all of them need. */
import assert from 'node:assert/strict';
import { type ErrorCode, type Message, type Mq, PostriderError, type Queue } from '../../src/index.ts';

/** What a case gets. */
export interface Bench {
  readonly kind: 'embedded' | 'postrider' | 'rabbitmq';
  /** Shared by all cases. */
  readonly mq: Mq;
  /** Another program, on the same broker, over the network. Closed after the case that asked for it closed it. */
  other(): Promise<Mq>;
  /** A name that nothing else has. */
  name(): string;
}

export async function rejects(
  work: Promise<unknown> | (() => unknown),
  code: ErrorCode,
  text?: RegExp,
): Promise<PostriderError> {
  let thrown: unknown;
  try {
    await (typeof work === 'function' ? work() : work);
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown instanceof PostriderError, `${code} was expected, not ${String(thrown)}`);
  assert.equal(thrown.code, code, thrown.message);
  if (text !== undefined) assert.match(thrown.message, text);
  return thrown;
}

/** Waits for what others do; the test's own time-out ends it. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadline) assert.fail(`never: ${what}`);
    await sleep(5);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The first messages of a queue, acknowledged. */
export async function take<Payload, In>(queue: Queue<Payload, In>, count: number): Promise<Message<Payload>[]> {
  const taken: Message<Payload>[] = [];
  for await (const message of queue.messages()) {
    taken.push(message);
    // So that it is settled, even if it was the last.
    await message.ack();
    if (taken.length === count) break;
  }
  return taken;
}

/** Brokers tell of a settlement a moment later. */
export async function settledTo(queue: Pick<Queue, 'name' | 'stats'>, ready: number): Promise<void> {
  await until(`${ready} messages in ${queue.name}`, async () => (await queue.stats()).ready === ready);
}
