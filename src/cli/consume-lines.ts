/** A queue's messages to standard output, each settled by what became of its line. */
import type { Consumer } from '../api/consumer.ts';
import { asError } from '../api/errors.ts';
import type { Message } from '../api/message.ts';
import type { Queue } from '../api/queue.ts';
import { CommandError } from './command-error.ts';
import { exitCode } from './exit-code.ts';
import { Interruption } from './interruption.ts';
import { LineWriter, standardOutput } from './line-writer.ts';
import { messageRecord, payloadText } from './message-record.ts';
import { printable } from './printable.ts';
import { say } from './report-error.ts';

export interface ConsumePlan {
  readonly count: number;
  /** Ends when nothing came for so long; 0: once the queue is empty; Infinity: never. */
  readonly idleMs: number;
  readonly atMostOnce: boolean;
  readonly json: boolean;
}

/** Why it ends. */
type End = 'count' | 'idle' | 'output' | 'interrupted' | 'lost';

/** Lines on their way out at a time. */
const mostAtATime = 256;
const tickMs = 25;

/** False: a line is still on its way to a reader that doesn't read; it was given back, and is not worth waiting for. */
export async function consumeLines(queue: Queue<Uint8Array>, plan: ConsumePlan): Promise<boolean> {
  const run = new ConsumeRun(queue, plan);
  const interruption = new Interruption(() => run.end('interrupted'));
  try {
    await run.run();
    return !run.isStuck;
  } finally {
    interruption.release();
  }
}

class ConsumeRun {
  readonly #queue: Queue<Uint8Array>;
  readonly #plan: ConsumePlan;
  readonly #writer: LineWriter;
  readonly #isTerminal: boolean;
  readonly #ended: Promise<End>;
  #end!: (end: End) => void;
  #isOver = false;
  #begun = 0;
  #written = 0;
  #acknowledged = 0;
  /** Written, and to be acknowledged once nothing more is fetched in their place. */
  readonly #held: Message<Uint8Array>[] = [];
  #changedAt = performance.now();
  #lostError: unknown = null;

  constructor(queue: Queue<Uint8Array>, plan: ConsumePlan) {
    this.#queue = queue;
    this.#plan = plan;
    const output = standardOutput();
    this.#isTerminal = (output as { isTTY?: boolean }).isTTY === true;
    this.#writer = new LineWriter(output, () => this.end('output'));
    this.#ended = new Promise((resolve) => (this.#end = resolve));
  }

  end(end: End): void {
    this.#isOver = true;
    this.#end(end);
  }

  get isStuck(): boolean {
    return this.#begun > this.#written;
  }

  async run(): Promise<void> {
    const { count, atMostOnce, idleMs } = this.#plan;
    const consumer = await this.#consume();
    consumer.closed.catch((error: unknown) => {
      this.#lostError = error;
      this.end('lost');
    });
    const watch = idleMs === Infinity ? null : setInterval(() => void this.#look().catch(() => undefined), tickMs);
    const end = await this.#ended;
    if (watch !== null) clearInterval(watch);
    // A reader that has stopped reading must not keep what is on its way for long.
    const closed = consumer.close({ graceMs: end === 'count' ? 30_000 : 500 });
    await Promise.all(this.#held.map((message) => this.#acknowledge(message)));
    await closed;
    if (end === 'lost') throw this.#lostError;
    const { failure } = this.#writer;
    if (failure !== null && failure.code !== 'EPIPE') {
      const rest = atMostOnce ? 'messages on their way are lost' : 'the rest was given back';
      throw new CommandError(exitCode.failed, `can't write standard output: ${failure.message}; ${rest}`, {
        cause: failure,
      });
    }
    if (end === 'idle' && count !== Infinity) {
      throw new CommandError(
        exitCode.failed,
        `${this.#written} of ${count} messages came from queue '${this.#queue.name}'`,
      );
    }
  }

  #consume(): Promise<Consumer<Uint8Array>> {
    // It must never fail: there is no dead-letter queue to take the blame, and no retry.
    const handler = async (_payload: Uint8Array, message: Message<Uint8Array>): Promise<void> => {
      try {
        await (this.#plan.atMostOnce ? this.#write(message) : this.#take(message));
      } catch (error) {
        say(asError(error).message);
      }
    };
    const concurrency = this.#atATime;
    if (this.#plan.atMostOnce) {
      return this.#queue.consume(handler, { delivery: 'at-most-once', concurrency, timeoutMs: Infinity });
    }
    // With a count no message is fetched that is not wanted: giving it back would count as one of its deliveries.
    const exact = this.#plan.count === Infinity ? {} : { prefetch: concurrency };
    return this.#queue.consume(handler, { ack: 'manual', concurrency, timeoutMs: Infinity, ...exact });
  }

  get #atATime(): number {
    return Math.min(mostAtATime, this.#plan.count);
  }

  async #take(message: Message<Uint8Array>): Promise<void> {
    const { count } = this.#plan;
    if (this.#isOver || this.#begun >= count || !(await this.#write(message))) {
      await message.requeue();
      return;
    }
    if (this.#acknowledged + this.#atATime >= count) {
      this.#held.push(message);
    } else {
      this.#acknowledged += 1;
      await this.#acknowledge(message);
    }
    if (this.#written === count) this.end('count');
  }

  async #acknowledge(message: Message<Uint8Array>): Promise<void> {
    try {
      await message.ack();
    } catch (error) {
      say(`a message was written and could not be acknowledged: ${asError(error).message}`);
    }
  }

  async #write(message: Message<Uint8Array>): Promise<boolean> {
    this.#begun += 1;
    const written = await this.#writer.write(this.#line(message));
    if (written) this.#written += 1;
    else this.#begun -= 1;
    this.#changedAt = performance.now();
    return written;
  }

  #line(message: Message<Uint8Array>): Uint8Array {
    if (this.#plan.json) return Buffer.from(messageRecord(message));
    if (!this.#isTerminal) return message.payload;
    return Buffer.from(printable(payloadText(message) ?? `(${message.payload.length} bytes that are no text)`));
  }

  /** Whether it is time to end for want of messages. */
  async #look(): Promise<void> {
    if (this.#begun !== this.#written) return;
    const quietSince = this.#changedAt;
    const quietMs = performance.now() - quietSince;
    if (quietMs < Math.max(this.#plan.idleMs, 2 * tickMs)) return;
    if (this.#plan.idleMs === 0 && (await this.#queue.stats()).ready > 0) return;
    if (quietSince === this.#changedAt) this.end('idle');
  }
}
