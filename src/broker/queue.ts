import type { EngineQueue } from '../engine/engine.ts';
import type { EngineError } from '../engine/errors.ts';
import type { FieldTable } from '../format/field-table.ts';
import type { Binding } from './binding.ts';
import { BrokerError } from './broker-error.ts';
import type { ConnectionScope } from './connection-scope.ts';
import type { QueueExpiry } from './queue-expiry.ts';
import type { EffectiveQueueSettings } from './queue-settings.ts';
import { resourceName } from './resource-name.ts';

export interface QueueTraits {
  readonly name: string;
  readonly vhost: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly arguments: FieldTable;
}

/** A queue as the broker knows it; its messages are the engine's. */
export class Queue {
  readonly kind = 'queue';
  readonly name: string;
  /** The engine's name for it. */
  readonly key: string;
  readonly traits: QueueTraits;
  readonly settings: EffectiveQueueSettings;
  /** The connection that it is exclusive to. */
  readonly owner: ConnectionScope | null;
  readonly incoming = new Set<Binding>();
  /** Null until the engine has made it. */
  handle: EngineQueue | null = null;
  /** While it is being made durable. */
  created: Promise<void> | null = null;
  deleted = false;
  consumerCount = 0;
  /** A consumer asked to be the only one. */
  consumedExclusively = false;
  /** It is an exchange's, where that holds what is delayed: no name leads to it. */
  readonly holds: boolean;
  expiry: QueueExpiry | null = null;

  constructor(
    key: string,
    traits: QueueTraits,
    settings: EffectiveQueueSettings,
    owner: ConnectionScope | null,
    holds = false,
  ) {
    this.name = traits.name;
    this.key = key;
    this.traits = traits;
    this.settings = settings;
    this.owner = owner;
    this.holds = holds;
  }

  get durable(): boolean {
    return this.traits.durable;
  }

  /** What it refuses as it is full goes to its dead-letter exchange. */
  get deadLettersRefused(): boolean {
    return this.settings.overflow === 'reject-publish-dlx' && this.settings.deadLetterExchange !== null;
  }

  get resource(): string {
    return resourceName('queue', this.name, this.traits.vhost);
  }

  /** @throws BrokerError RESOURCE_LOCKED when it is exclusive to another connection */
  requireAccess(connection: ConnectionScope): void {
    if (this.owner !== null && this.owner !== connection) throw this.locked();
  }

  /** Why it neither gives nor takes messages any more; null: it does. */
  stopped(): BrokerError | null {
    const damage = this.handle?.damage ?? null;
    if (damage === null) return null;
    const text = `${this.resource} stopped, because its data is damaged: ${whatIsDamaged(damage)}`;
    return new BrokerError('PRECONDITION_FAILED', text, { cause: damage });
  }

  locked(): BrokerError {
    return new BrokerError(
      'RESOURCE_LOCKED',
      `cannot obtain exclusive access to locked ${this.resource}. It could be originally declared on another ` +
        'connection or the exclusive property value does not match that of the original declaration.',
    );
  }
}

/** The engine's words begin with its key. */
export function whatIsDamaged({ cause, message }: EngineError): string {
  return cause instanceof Error ? cause.message : message;
}
