/** What the broker and its engine refuse, in the API's words. */
import { BrokerError, EngineError, type RefusalReason, type Vhost } from '../../broker/index.ts';
import { refusedBy } from '../broker-words.ts';
import { type ErrorCode, PostriderError } from '../errors.ts';
import type { Address } from '../link.ts';
import { nameOf, queueFull } from '../message-outcomes.ts';

const ofEngine: Partial<Record<EngineError['code'], ErrorCode>> = {
  LOCKED: 'DATA_LOCKED',
  FOREIGN: 'DATA_FOREIGN',
  NEWER: 'DATA_NEWER',
  CORRUPT: 'DATA_CORRUPT',
  UNWRITABLE: 'DATA_UNWRITABLE',
  FULL: 'DATA_UNWRITABLE',
  IO: 'ENGINE_FAILED',
  CLOSED: 'CLOSED',
  UNSUPPORTED: 'UNSUPPORTED',
  NO_QUEUE: 'QUEUE_NOT_FOUND',
  IN_USE: 'QUEUE_LOCKED',
};

export function brokerFailure(error: unknown): PostriderError {
  if (error instanceof PostriderError) return error;
  const engineError = error instanceof EngineError ? error : error instanceof BrokerError ? error.cause : null;
  if (engineError instanceof EngineError) {
    const code = ofEngine[engineError.code] ?? 'INTERNAL';
    return new PostriderError(code, (error as Error).message, { cause: error });
  }
  if (error instanceof BrokerError && error.code !== 'INTERNAL_ERROR')
    return refusedBy(error.code, error.message, error);
  return new PostriderError('INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
}

export function refusal(reason: RefusalReason | null, to: Address, vhost: Vhost): PostriderError {
  switch (reason) {
    case 'max-length':
      return queueFull(to, limitedQueues(to, vhost));
    case 'too-large':
      return new PostriderError('TOO_LARGE', `the message is larger than ${nameOf(to)} can store`);
    case 'gone':
      return new PostriderError('UNROUTABLE', `${nameOf(to)} was deleted while the message was on its way`);
    case 'damaged':
      return new PostriderError(
        'REFUSED',
        `${nameOf(to)} stopped, because its data is damaged: run 'postrider inspect'`,
      );
    default:
      return new PostriderError('REFUSED', `${nameOf(to)} refused the message: ${reason ?? 'no reason given'}`);
  }
}

/** The queues behind a topic that refuse what is beyond a limit. */
function limitedQueues(to: Address, vhost: Vhost): string[] {
  const exchange = vhost.graph.exchanges.get(to.exchange);
  if (exchange === undefined) return [];
  return vhost.routes
    .find(exchange, [to.routingKey], null)
    .queues.filter(({ settings }) => settings.overflow === 'reject-publish')
    .filter(({ settings }) => settings.maxLength !== null || settings.maxBytes !== null)
    .map(({ name }) => name);
}
