import { method } from './method.ts';

export const basicQos = method(60, 10, 'basic.qos', { prefetchSize: 'long', prefetchCount: 'short', global: 'bit' });
export const basicQosOk = method(60, 11, 'basic.qos_ok', {});
export const basicConsume = method(60, 20, 'basic.consume', {
  ticket: 'reserved short',
  queue: 'shortstr',
  consumerTag: 'shortstr',
  noLocal: 'bit',
  noAck: 'bit',
  exclusive: 'bit',
  noWait: 'bit',
  arguments: 'table',
});
export const basicConsumeOk = method(60, 21, 'basic.consume_ok', { consumerTag: 'shortstr' });
/** From the client, and to it when its queue is gone. */
export const basicCancel = method(60, 30, 'basic.cancel', { consumerTag: 'shortstr', noWait: 'bit' });
export const basicCancelOk = method(60, 31, 'basic.cancel_ok', { consumerTag: 'shortstr' });
export const basicPublish = method(60, 40, 'basic.publish', {
  ticket: 'reserved short',
  exchange: 'shortstr',
  routingKey: 'shortstr',
  mandatory: 'bit',
  immediate: 'bit',
});
export const basicReturn = method(60, 50, 'basic.return', {
  replyCode: 'short',
  replyText: 'shortstr',
  exchange: 'shortstr',
  routingKey: 'shortstr',
});
export const basicDeliver = method(60, 60, 'basic.deliver', {
  consumerTag: 'shortstr',
  deliveryTag: 'longlong',
  redelivered: 'bit',
  exchange: 'shortstr',
  routingKey: 'shortstr',
});
export const basicGet = method(60, 70, 'basic.get', { ticket: 'reserved short', queue: 'shortstr', noAck: 'bit' });
export const basicGetOk = method(60, 71, 'basic.get_ok', {
  deliveryTag: 'longlong',
  redelivered: 'bit',
  exchange: 'shortstr',
  routingKey: 'shortstr',
  messageCount: 'long',
});
export const basicGetEmpty = method(60, 72, 'basic.get_empty', { clusterId: 'reserved shortstr' });
export const basicAck = method(60, 80, 'basic.ack', { deliveryTag: 'longlong', multiple: 'bit' });
export const basicReject = method(60, 90, 'basic.reject', { deliveryTag: 'longlong', requeue: 'bit' });
export const basicRecoverAsync = method(60, 100, 'basic.recover_async', { requeue: 'bit' });
export const basicRecover = method(60, 110, 'basic.recover', { requeue: 'bit' });
export const basicRecoverOk = method(60, 111, 'basic.recover_ok', {});
export const basicNack = method(60, 120, 'basic.nack', { deliveryTag: 'longlong', multiple: 'bit', requeue: 'bit' });

export const confirmSelect = method(85, 10, 'confirm.select', { noWait: 'bit' });
export const confirmSelectOk = method(85, 11, 'confirm.select_ok', {});

export const txSelect = method(90, 10, 'tx.select', {});
export const txSelectOk = method(90, 11, 'tx.select_ok', {});
export const txCommit = method(90, 20, 'tx.commit', {});
export const txCommitOk = method(90, 21, 'tx.commit_ok', {});
export const txRollback = method(90, 30, 'tx.rollback', {});
export const txRollbackOk = method(90, 31, 'tx.rollback_ok', {});
