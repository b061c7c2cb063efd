/**
 * What a queue is set to, in one object: now computed from its declaration's arguments, later from policies too. Nothing
 * else reads a queue's arguments.
 *
 * An argument is taken, refused or ignored:
 * - taken: the names in `settings` below;
 * - ignored, for it changes nothing that a client can see here: x-queue-mode, x-queue-version, x-queue-master-locator,
 *   x-queue-leader-locator, x-quorum-initial-group-size, x-max-in-memory-length, x-max-in-memory-bytes (placement of
 *   replicas and of bytes), and names that nobody knows, as RabbitMQ does;
 * - refused: what would promise something that is not kept (streams, deduplication, reject-publish-dlx).
 */
import type { QueueLimits } from '../engine/engine.ts';
import type { FieldTable } from '../format/field-table.ts';
import { ArgumentReader } from './argument-reader.ts';
import { BrokerError } from './broker-error.ts';

export interface EffectiveQueueSettings {
  readonly type: 'classic' | 'quorum';
  readonly maxLength: number | null;
  readonly maxBytes: number | null;
  readonly overflow: 'drop-head' | 'reject-publish';
  readonly messageTtlMs: number | null;
  /** Unused for so long, the queue is deleted. */
  readonly expiresMs: number | null;
  readonly maxPriority: number | null;
  readonly deliveryLimit: number | null;
  readonly singleActiveConsumer: boolean;
  readonly deadLetterExchange: string | null;
  /** Null: messages keep their routing keys. */
  readonly deadLetterRoutingKey: string | null;
  /** A dead letter that nobody takes waits instead of being dropped. */
  readonly keepsDeadLetters: boolean;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type Setter = (settings: Writable<EffectiveQueueSettings>, argument: ArgumentReader) => void;

/** In the order in which RabbitMQ compares them. */
const settings: Readonly<Record<string, Setter>> = {
  'x-expires': (to, argument) => {
    to.expiresMs = argument.timeMs();
    if (to.expiresMs === 0) throw argument.invalid('{value_zero,0}');
  },
  'x-message-ttl': (to, argument) => (to.messageTtlMs = argument.timeMs()),
  'x-dead-letter-exchange': (to, argument) => (to.deadLetterExchange = argument.exchangeName()),
  'x-dead-letter-routing-key': (to, argument) => (to.deadLetterRoutingKey = argument.string()),
  'x-dead-letter-strategy': (to, argument) => {
    const strategy = argument.string();
    if (strategy !== 'at-most-once' && strategy !== 'at-least-once') throw argument.invalid('invalid_dlx_strategy');
    to.keepsDeadLetters = strategy === 'at-least-once';
  },
  'x-max-length': (to, argument) => (to.maxLength = argument.count()),
  'x-max-length-bytes': (to, argument) => (to.maxBytes = argument.count()),
  'x-max-priority': (to, argument) => {
    const priority = argument.count();
    if (priority > 255) throw argument.invalid(`{max_value_exceeded,${priority}}`);
    to.maxPriority = priority === 0 ? null : priority;
  },
  'x-overflow': (to, argument) => {
    const overflow = argument.string();
    if (overflow === 'reject-publish-dlx') throw unsupported(argument, 'reject-publish-dlx');
    if (overflow !== 'drop-head' && overflow !== 'reject-publish') throw argument.invalid('invalid_overflow');
    to.overflow = overflow;
  },
  'x-queue-mode': (_to, argument) => {
    const mode = argument.string();
    if (mode !== 'default' && mode !== 'lazy') throw argument.invalid(`"unsupported queue mode '${mode}'"`);
  },
  'x-queue-version': (_to, argument) => {
    const version = argument.integer();
    if (version !== 1 && version !== 2) throw argument.invalid(`"unsupported queue version '${version}'"`);
  },
  'x-single-active-consumer': (to, argument) => (to.singleActiveConsumer = argument.boolean()),
  'x-queue-type': (to, argument) => {
    const type = argument.string();
    if (type === 'stream') throw unsupported(argument, 'the queue type stream');
    if (type !== 'classic' && type !== 'quorum') throw argument.invalid(`"unsupported queue type '${type}'"`);
    to.type = type;
  },
  'x-delivery-limit': (to, argument) => (to.deliveryLimit = argument.count()),
  'x-message-deduplication': (_to, argument) => {
    if (argument.boolean()) throw unsupported(argument, 'deduplication');
  },
};

/** Arguments of streams: RabbitMQ refuses them for every other type. */
const streamArguments = [
  'x-max-age',
  'x-stream-max-segment-size-bytes',
  'x-stream-filter-size-bytes',
  'x-initial-cluster-size',
];

/** The arguments that must be equal when a queue is declared again. */
export const comparedQueueArguments: readonly string[] = Object.keys(settings).filter(
  (name) => name !== 'x-queue-type',
);

/** @throws BrokerError PRECONDITION_FAILED, NOT_IMPLEMENTED */
export function effectiveQueueSettings(given: FieldTable, resource: string): EffectiveQueueSettings {
  const effective: Writable<EffectiveQueueSettings> = {
    type: 'classic',
    maxLength: null,
    maxBytes: null,
    overflow: 'drop-head',
    messageTtlMs: null,
    expiresMs: null,
    maxPriority: null,
    deliveryLimit: null,
    singleActiveConsumer: false,
    deadLetterExchange: null,
    deadLetterRoutingKey: null,
    keepsDeadLetters: false,
  };
  for (const [name, set] of Object.entries(settings)) {
    const value = given[name];
    if (value !== undefined) set(effective, new ArgumentReader(name, value, resource));
  }
  for (const name of streamArguments) {
    if (given[name] === undefined) continue;
    throw new BrokerError(
      'PRECONDITION_FAILED',
      `invalid arg '${name}' for ${resource} of queue type rabbit_${effective.type}_queue`,
    );
  }
  if (effective.deadLetterRoutingKey !== null && effective.deadLetterExchange === null) {
    throw new ArgumentReader('x-dead-letter-routing-key', null, resource).invalid('routing_key_but_no_dlx_defined');
  }
  return effective;
}

/** The engine's part of the settings. */
export function queueLimits(effective: EffectiveQueueSettings): QueueLimits {
  return {
    ...(effective.maxLength === null ? {} : { maxLength: effective.maxLength }),
    ...(effective.maxBytes === null ? {} : { maxBytes: effective.maxBytes }),
    ...(effective.overflow === 'drop-head' ? {} : { overflow: 'reject' }),
    ...(effective.messageTtlMs === null ? {} : { messageTtlMs: effective.messageTtlMs }),
    ...(effective.maxPriority === null ? {} : { maxPriority: effective.maxPriority }),
    // A limit of 2 allows two redeliveries; the engine counts deliveries.
    ...(effective.deliveryLimit === null ? {} : { deliveryLimit: effective.deliveryLimit + 1 }),
    ...(effective.singleActiveConsumer ? { singleActiveConsumer: true } : {}),
    ...(effective.deadLetterExchange === null ? {} : { handOverRemoved: true }),
  };
}

function unsupported(argument: ArgumentReader, what: string): BrokerError {
  return argument.invalid(`${what} is not supported`);
}
