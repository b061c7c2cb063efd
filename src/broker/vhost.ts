import type { FieldTable } from '../format/field-table.ts';
import type { ConnectionScope } from './connection-scope.ts';
import type { Principal } from './principal.ts';
import type { Route } from './route.ts';

/** Who asks for a change: a session, or a request to the management API. */
export interface Actor {
  readonly principal: Principal;
  readonly connection: ConnectionScope;
}

export interface ExchangeDeclaration {
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: FieldTable;
}

export interface QueueDeclaration {
  /** Empty: the broker makes one (`amq.gen-...`). */
  readonly name: string;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly arguments: FieldTable;
}

export interface QueueStatus {
  readonly name: string;
  readonly messageCount: number;
  readonly consumerCount: number;
}

export interface QueueBindingRequest {
  readonly queue: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

export interface ExchangeBindingRequest {
  readonly destination: string;
  readonly source: string;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

/** All methods throw (or reject with) `BrokerError`. A promise resolves once the change is durable. */
export interface Vhost {
  readonly name: string;
  /** Grows with each change that can alter a route: a `Route` holds while its `version` is this. */
  readonly version: number;

  declareExchange(actor: Actor, declaration: ExchangeDeclaration): Promise<void>;
  /** Passive declaration: NOT_FOUND, or nothing. */
  checkExchange(actor: Actor, name: string): void;
  deleteExchange(actor: Actor, name: string, options: { readonly ifUnused: boolean }): Promise<void>;
  bindExchange(actor: Actor, request: ExchangeBindingRequest): Promise<void>;
  unbindExchange(actor: Actor, request: ExchangeBindingRequest): Promise<void>;

  declareQueue(actor: Actor, declaration: QueueDeclaration): Promise<QueueStatus>;
  /** Passive declaration. */
  checkQueue(actor: Actor, name: string): Promise<QueueStatus>;
  /** Resolves with the number of messages deleted; 0 where there was no such queue. */
  deleteQueue(
    actor: Actor,
    name: string,
    options: { readonly ifUnused: boolean; readonly ifEmpty: boolean },
  ): Promise<number>;
  bindQueue(actor: Actor, request: QueueBindingRequest): Promise<void>;
  unbindQueue(actor: Actor, request: QueueBindingRequest): Promise<void>;
  /** Resolves with the number of messages removed. */
  purgeQueue(actor: Actor, name: string): Promise<number>;

  /**
   * The route of an exchange and routing key, from the cache where possible; permission to write is checked with it.
   * @throws BrokerError NOT_FOUND, ACCESS_REFUSED
   */
  route(principal: Principal, exchange: string, routingKey: string): Route;
}
