import { method } from './method.ts';

const binding = {
  ticket: 'reserved short',
  destination: 'shortstr',
  source: 'shortstr',
  routingKey: 'shortstr',
  noWait: 'bit',
  arguments: 'table',
} as const;

export const exchangeDeclare = method(40, 10, 'exchange.declare', {
  ticket: 'reserved short',
  exchange: 'shortstr',
  type: 'shortstr',
  passive: 'bit',
  durable: 'bit',
  autoDelete: 'bit',
  internal: 'bit',
  noWait: 'bit',
  arguments: 'table',
});
export const exchangeDeclareOk = method(40, 11, 'exchange.declare_ok', {});
export const exchangeDelete = method(40, 20, 'exchange.delete', {
  ticket: 'reserved short',
  exchange: 'shortstr',
  ifUnused: 'bit',
  noWait: 'bit',
});
export const exchangeDeleteOk = method(40, 21, 'exchange.delete_ok', {});
export const exchangeBind = method(40, 30, 'exchange.bind', binding);
export const exchangeBindOk = method(40, 31, 'exchange.bind_ok', {});
export const exchangeUnbind = method(40, 40, 'exchange.unbind', binding);
export const exchangeUnbindOk = method(40, 51, 'exchange.unbind_ok', {});
