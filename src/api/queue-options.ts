import type { FieldTable } from '../format/field-table.ts';
import { PostriderError } from './errors.ts';
import type { QueueTraits } from './link.ts';
import { checkQueueName, deadSuffix } from './names.ts';
import { boolean, checkOptions, type Checks, either, integer, milliseconds, oneOf, text } from './option-check.ts';
import type { Serializer } from './serializer.ts';
import type { StandardSchema } from './standard-schema.ts';

/** What a queue may be set to: `mq.queue(name, options)`. */
export interface QueueOptions<Input = unknown, Output = Input> {
  /** Any Standard Schema (zod, valibot, arktype...): types the payload, and checks it when it is published and when it is consumed. */
  readonly schema?: StandardSchema<Input, Output>;
  /** Default: JSON, and bytes as they are. */
  readonly serializer?: Serializer<Input>;
  /** False: queue and messages live as long as the broker. Default true. */
  readonly durable?: boolean;
  /** Keeps priorities 0 to this one apart, at most 255. Default: messages keep their order. */
  readonly priorities?: number;
  /** Longest that a message waits, in milliseconds; then it is dead-lettered. Default: for ever. */
  readonly messageTtlMs?: number;
  /** Most ready messages. Default: no limit. */
  readonly maxLength?: number;
  /** Most bytes of ready payloads. Default: no limit. */
  readonly maxBytes?: number;
  /** At a limit: `'reject'` (default) refuses to publish (QUEUE_FULL), `'drop-oldest'` dead-letters the oldest message. */
  readonly overflow?: 'reject' | 'drop-oldest';
  /**
   * Where messages go that can't be handled: a queue of this name, which queues may share. Default `<name>.dead`. False: nowhere, so that they
   * are tried again and again unless a consumer's `retry` or a `deliveryLimit` says otherwise; then they are dropped. A queue whose own
   * name ends with `.dead`, or that was named as another's here before, has none unless it is named.
   */
  readonly deadLetter?: string | false;
  /**
   * Deliveries without any answer after which a message is dead-lettered: their process died, say. What a consumer has fetched and gives back
   * unhandled at its close was delivered too. Default 20, and none in a queue without dead letters; false: no limit.
   */
  readonly deliveryLimit?: number | false;
  /** Only one consumer at a time gets messages, the next when it is gone. Default false. */
  readonly singleActiveConsumer?: boolean;
  /**
   * Message groups: the header whose value is a message's key (`headers: { customer }`), or a property as AMQP names it (`correlation_id`, `message_id` for `id`).
   * One consumer at a time has the messages of a key, in their order; others get those of other keys meanwhile. A message without it belongs to no group.
   * For order in handling too, leave consumers at `concurrency: 1` and take more of them. Postrider's own, over `amqp:` too.
   */
  readonly groupBy?: string;
  /** Unused for so long, the queue is deleted, in milliseconds. Default: never. */
  readonly expiresMs?: number;
  /** False: the queue is there already and is used as it stands; the options above say nothing then. Default true. */
  readonly declare?: boolean;
}

/** Whatever the payload. */
export type AnyQueueOptions = QueueOptions | Omit<QueueOptions, 'schema' | 'serializer' | 'declare'>;

const checks: Checks<QueueOptions> = {
  schema: (value) =>
    (typeof value === 'object' || typeof value === 'function') && value !== null && '~standard' in value
      ? null
      : 'a Standard Schema, as zod, valibot and arktype make them',
  serializer: (value) =>
    typeof value === 'object' &&
    value !== null &&
    typeof (value as Serializer).serialize === 'function' &&
    typeof (value as Serializer).deserialize === 'function' &&
    typeof (value as Serializer).contentType === 'string'
      ? null
      : 'an object with contentType, serialize() and deserialize()',
  durable: boolean,
  priorities: integer(1, 255),
  messageTtlMs: milliseconds(0),
  maxLength: integer(1),
  maxBytes: integer(1),
  overflow: oneOf('reject', 'drop-oldest'),
  deadLetter: either(oneOf(false), text),
  deliveryLimit: either(oneOf(false), integer(1)),
  singleActiveConsumer: boolean,
  groupBy: text,
  expiresMs: milliseconds(1),
  declare: boolean,
};

const defaultDeliveryLimit = 20;

/** @throws PostriderError INVALID_OPTION, INVALID_NAME */
export function checkQueueOptions(name: string, options: AnyQueueOptions): void {
  const where = `queue '${name}'`;
  checkOptions(where, options, checks);
  if (options.overflow !== undefined && options.maxLength === undefined && options.maxBytes === undefined) {
    throw new PostriderError('INVALID_OPTION', `${where}: overflow wants a limit: maxLength or maxBytes`);
  }
  if (typeof options.deadLetter === 'string') checkQueueName(options.deadLetter, 'dead-letter queue');
  if (options.deadLetter === name) {
    throw new PostriderError('INVALID_OPTION', `${where} can't be its own dead-letter queue`);
  }
}

/** What is dead already has nowhere else to go: as `mq.queue('orders')` makes `orders.dead`, so does `mq.queue('orders.dead')`. */
export function isDeadLetterName(name: string): boolean {
  return name.endsWith(deadSuffix);
}

/** The name of its dead-letter queue; null: it has none. `isDead`: it is one itself. */
export function deadLetterQueueOf(name: string, options: AnyQueueOptions, isDead: boolean): string | null {
  if (options.deadLetter === false) return null;
  return options.deadLetter ?? (isDead ? null : name + deadSuffix);
}

/**
 * As the queue is declared, in RabbitMQ's arguments, so that other clients can declare the same. A quorum queue where it can be
 * (durable, no priorities), since RabbitMQ limits deliveries in no other; Postrider knows no difference.
 */
export function queueTraits(name: string, options: AnyQueueOptions, deadLetterQueue: string | null): QueueTraits {
  const { durable = true, priorities, overflow = 'reject' } = options;
  const { deliveryLimit = deadLetterQueue === null ? false : defaultDeliveryLimit } = options;
  const quorum = durable && priorities === undefined;
  const table: FieldTable = {};
  if (quorum) table['x-queue-type'] = 'quorum';
  if (priorities !== undefined) table['x-max-priority'] = priorities;
  if (options.messageTtlMs !== undefined) table['x-message-ttl'] = options.messageTtlMs;
  if (options.maxLength !== undefined) table['x-max-length'] = options.maxLength;
  if (options.maxBytes !== undefined) table['x-max-length-bytes'] = options.maxBytes;
  if (options.maxLength !== undefined || options.maxBytes !== undefined) {
    table['x-overflow'] = overflow === 'reject' ? 'reject-publish' : 'drop-head';
  }
  if (deadLetterQueue !== null) {
    table['x-dead-letter-exchange'] = '';
    table['x-dead-letter-routing-key'] = deadLetterQueue;
  }
  if (deliveryLimit !== false) table['x-delivery-limit'] = deliveryLimit;
  if (options.singleActiveConsumer === true) table['x-single-active-consumer'] = true;
  if (options.groupBy !== undefined) table['x-group-by'] = options.groupBy;
  if (options.expiresMs !== undefined) table['x-expires'] = options.expiresMs;
  return { name, durable, exclusive: false, autoDelete: false, arguments: table };
}

export function deadLetterTraits(name: string, durable: boolean): QueueTraits {
  return { name, durable, exclusive: false, autoDelete: false, arguments: durable ? { 'x-queue-type': 'quorum' } : {} };
}
