/** What the broker and its engine refuse, in the API's words. */
import { BrokerError, EngineError, type RefusalReason } from '../../broker/index.ts';
import { type ErrorCode, PostriderError } from '../errors.ts';

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

const ofBroker: Record<BrokerError['code'], ErrorCode> = {
  ACCESS_REFUSED: 'ACCESS_REFUSED',
  NOT_FOUND: 'QUEUE_NOT_FOUND',
  RESOURCE_LOCKED: 'QUEUE_LOCKED',
  PRECONDITION_FAILED: 'QUEUE_DIFFERS',
  NOT_ALLOWED: 'REFUSED',
  COMMAND_INVALID: 'REFUSED',
  NOT_IMPLEMENTED: 'UNSUPPORTED',
  INTERNAL_ERROR: 'INTERNAL',
};

export function brokerFailure(error: unknown): PostriderError {
  if (error instanceof PostriderError) return error;
  const engineError = error instanceof EngineError ? error : error instanceof BrokerError ? error.cause : null;
  if (engineError instanceof EngineError) {
    const code = ofEngine[engineError.code] ?? 'INTERNAL';
    return new PostriderError(code, (error as Error).message, { cause: error });
  }
  if (error instanceof BrokerError) {
    // An exclusive consumer is AMQP's ACCESS_REFUSED.
    const code = error.message.includes('exclusive use') ? 'QUEUE_LOCKED' : ofBroker[error.code];
    return new PostriderError(code, error.message, { cause: error });
  }
  return new PostriderError('INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
}

export function refusal(reason: RefusalReason | null, to: string): PostriderError {
  switch (reason) {
    case 'max-length':
      return new PostriderError('QUEUE_FULL', `${to} is at its length limit and took no more; publish again later`);
    case 'too-large':
      return new PostriderError('TOO_LARGE', `the message is larger than ${to} can store`);
    case 'gone':
      return new PostriderError('UNROUTABLE', `${to} was deleted while the message was on its way`);
    case 'damaged':
      return new PostriderError('REFUSED', `${to} stopped, because its data is damaged: run 'postrider inspect'`);
    default:
      return new PostriderError('REFUSED', `${to} refused the message: ${reason ?? 'no reason given'}`);
  }
}
