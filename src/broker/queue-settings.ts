/**
 * What a queue is set to, in one object: now computed from its declaration's arguments, later from policies too. Nothing
 * else reads a queue's arguments.
 *
 * An argument is taken, refused or ignored:
 * - taken: the names in `settings` below;
 * - ignored, for it changes nothing that a client can see here: x-queue-mode, x-queue-version, x-queue-master-locator,
 *   x-queue-leader-locator, x-quorum-initial-group-size, x-max-in-memory-length, x-max-in-memory-bytes (placement of
 *   replicas and of bytes), and names that nobody knows, as RabbitMQ does;
 * - refused: what a queue of its type has not.
 */
import type { QueueLimits } from '../engine/engine.ts';
import type { FieldTable } from '../format/field-table.ts';
import { ArgumentReader } from './argument-reader.ts';
import { BrokerError } from './broker-error.ts';
import { type Deduplication, deduplicationArguments, queueDeduplication } from './deduplication.ts';
import { isGroupBy } from './group-keys.ts';
import {
  argumentsOfStreamsAlone,
  checkFilterBytes,
  readMaxAge,
  readSegmentBytes,
  streamArguments,
} from './stream/stream-arguments.ts';

export interface EffectiveQueueSettings {
  readonly type: 'classic' | 'quorum' | 'stream';
  readonly maxLength: number | null;
  readonly maxBytes: number | null;
  /** `reject-publish-dlx`: what is refused goes to the dead-letter exchange. */
  readonly overflow: 'drop-head' | 'reject-publish' | 'reject-publish-dlx';
  readonly messageTtlMs: number | null;
  /** Unused for so long, the queue is deleted. */
  readonly expiresMs: number | null;
  readonly maxPriority: number | null;
  readonly deliveryLimit: number | null;
  readonly singleActiveConsumer: boolean;
  /** The header or property whose value is a message's key; null: messages are not grouped. */
  readonly groupBy: string | null;
  /** Of a stream: how old its messages become. */
  readonly maxAgeMs: number | null;
  /** Of a stream: how much of it goes at a time, at most. */
  readonly segmentBytes: number | null;
  /** How long a delivery may stay unacknowledged, 0: for ever; null: as long as the server says. */
  readonly consumerTimeoutMs: number | null;
  readonly deadLetterExchange: string | null;
  /** Null: messages keep their routing keys. */
  readonly deadLetterRoutingKey: string | null;
  /** A dead letter that nobody takes waits instead of being dropped. */
  readonly keepsDeadLetters: boolean;
  readonly deduplication: Deduplication | null;
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
    if (overflow !== 'drop-head' && overflow !== 'reject-publish' && overflow !== 'reject-publish-dlx') {
      throw argument.invalid('invalid_overflow');
    }
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
    if (type !== 'classic' && type !== 'quorum' && type !== 'stream')
      throw argument.invalid(`"unsupported queue type '${type}'"`);
    to.type = type;
  },
  'x-max-age': (to, argument) => (to.maxAgeMs = readMaxAge(argument)),
  'x-stream-max-segment-size-bytes': (to, argument) => (to.segmentBytes = readSegmentBytes(argument)),
  'x-stream-filter-size-bytes': (_to, argument) => checkFilterBytes(argument),
  'x-initial-cluster-size': (_to, argument) => {
    if (argument.count() === 0) throw argument.invalid('{value_zero,0}');
  },
  'x-consumer-timeout': (to, argument) => (to.consumerTimeoutMs = argument.timeMs()),
  'x-delivery-limit': (to, argument) => (to.deliveryLimit = argument.count()),
  'x-group-by': (to, argument) => {
    const groupBy = argument.string();
    if (!isGroupBy(groupBy)) throw argument.invalid('"expected the name of a header or of a property"');
    to.groupBy = groupBy;
  },
};

/** Taken by other types than streams, though they change nothing. */
const ignoredArguments = [
  'x-queue-master-locator',
  'x-quorum-initial-group-size',
  'x-max-in-memory-length',
  'x-max-in-memory-bytes',
];
const argumentsOfOthers = [...Object.keys(settings), ...deduplicationArguments, ...ignoredArguments].filter(
  (name) => !streamArguments.has(name),
);

/** The arguments that must be equal when a queue is declared again. */
export const comparedQueueArguments: readonly string[] = [...Object.keys(settings), ...deduplicationArguments].filter(
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
    groupBy: null,
    maxAgeMs: null,
    segmentBytes: null,
    consumerTimeoutMs: null,
    deadLetterExchange: null,
    deadLetterRoutingKey: null,
    keepsDeadLetters: false,
    deduplication: queueDeduplication(given, resource),
  };
  const type = given['x-queue-type'];
  if (type !== undefined) settings['x-queue-type']!(effective, new ArgumentReader('x-queue-type', type, resource));
  const refused = effective.type === 'stream' ? argumentsOfOthers : argumentsOfStreamsAlone;
  for (const [name, set] of Object.entries(settings)) {
    const value = given[name];
    if (value !== undefined && !refused.includes(name)) set(effective, new ArgumentReader(name, value, resource));
  }
  for (const name of refused) {
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
  if (effective.type === 'stream') {
    return {
      stream: {
        ...(effective.maxBytes === null ? {} : { maxBytes: effective.maxBytes }),
        ...(effective.maxAgeMs === null ? {} : { maxAgeMs: effective.maxAgeMs }),
        ...(effective.segmentBytes === null ? {} : { partBytes: effective.segmentBytes }),
      },
    };
  }
  return {
    ...(effective.maxLength === null ? {} : { maxLength: effective.maxLength }),
    ...(effective.maxBytes === null ? {} : { maxBytes: effective.maxBytes }),
    ...(effective.overflow === 'drop-head' ? {} : { overflow: 'reject' }),
    ...(effective.messageTtlMs === null ? {} : { messageTtlMs: effective.messageTtlMs }),
    ...(effective.maxPriority === null ? {} : { maxPriority: effective.maxPriority }),
    // A limit of 2 allows two redeliveries; the engine counts deliveries.
    ...(effective.deliveryLimit === null ? {} : { deliveryLimit: effective.deliveryLimit + 1 }),
    ...(effective.singleActiveConsumer ? { singleActiveConsumer: true } : {}),
    ...(effective.groupBy === null ? {} : { groupBy: effective.groupBy }),
    ...(effective.deadLetterExchange === null ? {} : { handOverRemoved: true }),
  };
}
