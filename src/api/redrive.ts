/** Dead letters back to where they came from. */
import type { PostriderError } from './errors.ts';
import type { Delivery, DeliverySink, LinkConsumer } from './link.ts';
import { deathOf, revivedHeaders } from './message-headers.ts';
import type { MqCore } from './mq-core.ts';
import { deadSuffix } from './names.ts';
import { callable, checkOptions, type Checks, integer, number, signal } from './option-check.ts';
import { aborted } from './abort.ts';
import { PostriderError as ApiError } from './errors.ts';

/** A message of a dead-letter queue, as the filter of `redrive()` sees it. */
export interface DeadLetter {
  /** The queue that it came from. */
  readonly queue: string;
  /** Why it is dead: see `DeadLetterReason`. */
  readonly reason: string;
  /** The error of its last handler, empty where there was none. */
  readonly error: string;
  /** As given when it was published. */
  readonly id: string | undefined;
  /** With those that tell of its death. */
  readonly headers: Readonly<Record<string, unknown>>;
  /** The payload, as it was sent. */
  readonly body: Buffer;
}

/** Which dead letters `redrive()` sends back, and how fast. */
export interface RedriveOptions {
  /** Most messages. Default: all that are there. */
  readonly limit?: number;
  /** Which ones. */
  readonly filter?: (letter: DeadLetter) => boolean;
  /** Most a second. Default: no limit. */
  readonly ratePerSecond?: number;
  /** Stops it; what was sent back stays so. */
  readonly signal?: AbortSignal;
}

const checks: Checks<RedriveOptions> = {
  limit: integer(1),
  filter: callable,
  ratePerSecond: number(0.001, 1e9),
  signal,
};
/** Unsettled at a time; what the filter turns down is kept unsettled until the end. */
const prefetch = 100;

/** @throws PostriderError INVALID_OPTION, QUEUE_NOT_FOUND, ABORTED, and what publishing to the origin throws */
export async function redrive(core: MqCore, name: string, options: RedriveOptions): Promise<number> {
  const where = `redrive() of queue '${name}'`;
  checkOptions(where, options, checks);
  core.requireOpen('redrive');
  const { limit = Infinity, filter = () => true, ratePerSecond, signal: stop } = options;
  const { ready } = await core.link.checkQueue(name);
  let seen = 0;
  let moved = 0;
  let failure: PostriderError | null = null;
  let work: Promise<void> = Promise.resolve();
  let link: LinkConsumer | null = null;
  let finish!: () => void;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const turnedDown: number[] = [];
  const intervalMs = ratePerSecond === undefined ? 0 : 1000 / ratePerSecond;
  let nextAt = performance.now();

  const revive = async (letter: DeadLetter, delivery: Kept): Promise<void> => {
    if (failure !== null || moved >= limit) return;
    if (stop?.aborted === true) throw aborted(stop, where);
    if (intervalMs > 0) {
      const waitMs = nextAt - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      nextAt = Math.max(nextAt, performance.now()) + intervalMs;
    }
    const { properties } = delivery;
    await link!.replace(
      delivery.tag,
      { exchange: '', routingKey: letter.queue, mandatory: true },
      { body: letter.body, properties: { ...properties, headers: revivedHeaders(properties.headers) }, delayMs: 0 },
    );
    moved += 1;
  };

  const sink: DeliverySink = {
    deliver(delivery) {
      if (seen >= ready) return true;
      seen += 1;
      const kept = keep(delivery);
      const letter = letterOf(name, kept);
      let wanted = false;
      try {
        wanted = filter(letter);
      } catch (error) {
        failure ??= new ApiError('INVALID_OPTION', `${where}: its filter threw: ${String(error)}`, { cause: error });
      }
      if (wanted)
        work = work
          .then(() => revive(letter, kept))
          .catch((error: unknown) => void (failure ??= error as PostriderError));
      else {
        turnedDown.push(kept.tag);
        link!.setPrefetch(Math.min(65_535, prefetch + turnedDown.length));
      }
      const last = seen >= ready;
      work = work.then(() => {
        if (last || failure !== null || moved >= limit) finish();
      });
      return true;
    },
    lost() {
      failure ??= new ApiError(
        'UNKNOWN_OUTCOME',
        `the connection was lost during ${where}; redrive again for the rest`,
      );
      finish();
    },
    ended(error) {
      failure ??= error;
      finish();
    },
  };
  if (ready === 0) return 0;
  link = await core.link.consume(name, { prefetch, noAck: false, exclusive: false, priority: 0 }, sink);
  // Another consumer may take what was counted.
  const idle = setInterval(() => {
    void core.link.checkQueue(name).then(
      (counts) => {
        if (counts.ready === 0 && seen < ready) void work.then(finish);
      },
      () => undefined,
    );
  }, 500);
  await finished;
  clearInterval(idle);
  await link.cancel().catch(() => undefined);
  await link.close().catch(() => undefined);
  // Assigned in callbacks, which the compiler doesn't follow.
  const error = failure as PostriderError | null;
  if (error !== null) throw error;
  return moved;
}

type Kept = Pick<Delivery, 'tag' | 'properties'> & { readonly body: Buffer };

function keep({ tag, properties, body, bodyStart, bodyEnd }: Delivery): Kept {
  return { tag, properties, body: Buffer.from(body.subarray(bodyStart, bodyEnd)) };
}

function letterOf(name: string, { properties, body }: Kept): DeadLetter {
  const death = deathOf(properties.headers);
  const origin = name.endsWith(deadSuffix) ? name.slice(0, -deadSuffix.length) : name;
  return {
    queue: death?.queue ?? origin,
    reason: death?.reason ?? '',
    error: death?.error ?? '',
    id: properties.messageId,
    headers: properties.headers ?? {},
    body,
  };
}
