/** What the broker and its engine refuse, in the API's words. */
import {
  BrokerError,
  EngineError,
  MAX_BODY_BYTES,
  MAX_PROPERTIES_BYTES,
  type Queue,
  type RefusalReason,
  type Vhost,
} from '../../broker/index.ts';
import { refusedBy } from '../broker-words.ts';
import { type ErrorCode, PostriderError } from '../errors.ts';
import type { Address, Outgoing } from '../link.ts';
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
  // A queue that stopped; of a whole journal the engine's own words come.
  if (error instanceof BrokerError && engineError instanceof EngineError && engineError.code === 'CORRUPT')
    return refusedBy(error.code, error.message, error);
  if (engineError instanceof EngineError) {
    const code = ofEngine[engineError.code] ?? 'INTERNAL';
    return new PostriderError(code, (error as Error).message, { cause: error });
  }
  if (error instanceof BrokerError && error.code !== 'INTERNAL_ERROR')
    return refusedBy(error.code, error.message, error);
  return new PostriderError('INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
}

export function refusal(
  reason: RefusalReason | null,
  to: Address,
  { body }: Pick<Outgoing, 'body'>,
  vhost: Vhost,
): PostriderError {
  switch (reason) {
    case 'max-length':
      return queueFull(to, limitedQueues(to, vhost));
    case 'too-large':
      return tooLarge(to, Buffer.byteLength(body));
    case 'gone':
      return new PostriderError('UNROUTABLE', `${nameOf(to)} was deleted while the message was on its way`);
    case 'damaged':
      return damaged(to, vhost);
    default:
      return new PostriderError('REFUSED', `${nameOf(to)} refused the message: ${reason ?? 'no reason given'}`);
  }
}

function tooLarge(to: Address, bytes: number): PostriderError {
  const what =
    bytes > MAX_BODY_BYTES
      ? `a message of ${bytes} bytes for ${nameOf(to)} is larger than can be stored: ${MAX_BODY_BYTES} bytes`
      : `the headers of a message for ${nameOf(to)} are larger than can be stored: ${MAX_PROPERTIES_BYTES} bytes`;
  return new PostriderError('TOO_LARGE', `${what}; put the data elsewhere, and send where`);
}

function damaged(to: Address, vhost: Vhost): PostriderError {
  for (const queue of queuesBehind(to, vhost)) {
    const stopped = queue.stopped();
    if (stopped !== null) return brokerFailure(stopped);
  }
  return new PostriderError('DATA_CORRUPT', `${nameOf(to)} stopped, because its data is damaged`);
}

/** The queues behind a topic that refuse what is beyond a limit. */
function limitedQueues(to: Address, vhost: Vhost): string[] {
  return queuesBehind(to, vhost)
    .filter(({ settings }) => settings.overflow === 'reject-publish')
    .filter(({ settings }) => settings.maxLength !== null || settings.maxBytes !== null)
    .map(({ name }) => name);
}

function queuesBehind(to: Address, vhost: Vhost): readonly Queue[] {
  const exchange = vhost.graph.exchanges.get(to.exchange);
  return exchange === undefined ? [] : vhost.routes.find(exchange, [to.routingKey], null, null).queues;
}
