import { method } from './method.ts';

export const queueDeclare = method(50, 10, 'queue.declare', {
  ticket: 'reserved short',
  queue: 'shortstr',
  passive: 'bit',
  durable: 'bit',
  exclusive: 'bit',
  autoDelete: 'bit',
  noWait: 'bit',
  arguments: 'table',
});
export const queueDeclareOk = method(50, 11, 'queue.declare_ok', {
  queue: 'shortstr',
  messageCount: 'long',
  consumerCount: 'long',
});
export const queueBind = method(50, 20, 'queue.bind', {
  ticket: 'reserved short',
  queue: 'shortstr',
  exchange: 'shortstr',
  routingKey: 'shortstr',
  noWait: 'bit',
  arguments: 'table',
});
export const queueBindOk = method(50, 21, 'queue.bind_ok', {});
export const queuePurge = method(50, 30, 'queue.purge', {
  ticket: 'reserved short',
  queue: 'shortstr',
  noWait: 'bit',
});
export const queuePurgeOk = method(50, 31, 'queue.purge_ok', { messageCount: 'long' });
export const queueDelete = method(50, 40, 'queue.delete', {
  ticket: 'reserved short',
  queue: 'shortstr',
  ifUnused: 'bit',
  ifEmpty: 'bit',
  noWait: 'bit',
});
export const queueDeleteOk = method(50, 41, 'queue.delete_ok', { messageCount: 'long' });
export const queueUnbind = method(50, 50, 'queue.unbind', {
  ticket: 'reserved short',
  queue: 'shortstr',
  exchange: 'shortstr',
  routingKey: 'shortstr',
  arguments: 'table',
});
export const queueUnbindOk = method(50, 51, 'queue.unbind_ok', {});
