/** What the client and the broker behind it answer, in the API's words. */
import { type ErrorCode, PostriderError } from '../errors.ts';
import type { Address } from '../link.ts';

const ofReply: Readonly<Record<string, ErrorCode>> = {
  ACCESS_REFUSED: 'ACCESS_REFUSED',
  NOT_FOUND: 'QUEUE_NOT_FOUND',
  RESOURCE_LOCKED: 'QUEUE_LOCKED',
  PRECONDITION_FAILED: 'QUEUE_DIFFERS',
  CONTENT_TOO_LARGE: 'TOO_LARGE',
  NOT_ALLOWED: 'REFUSED',
  COMMAND_INVALID: 'REFUSED',
  NOT_IMPLEMENTED: 'UNSUPPORTED',
  RESOURCE_ERROR: 'REFUSED',
  INTERNAL_ERROR: 'REFUSED',
};

/** The connection or the channel ended before the answer, and it was not the question's fault. */
export function isLoss(error: unknown): boolean {
  if (error instanceof PostriderError) return error.code === 'UNKNOWN_OUTCOME' || error.code === 'UNREACHABLE';
  return ofReply[codeOf(error)] === undefined;
}

export function remoteFailure(error: unknown): PostriderError {
  if (error instanceof PostriderError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const because = { cause: error };
  if (isLoss(error)) {
    return new PostriderError(
      'UNKNOWN_OUTCOME',
      `the connection was lost before the answer: ${whatHappened(error)}`,
      because,
    );
  }
  // "QueueDeclare: PRECONDITION_FAILED - invalid arg 'x-delivery-limit' for queue 'q' in vhost '/' of queue type ..."
  if (/invalid arg '|is deprecated|not supported|unsupported/i.test(text)) {
    return new PostriderError('UNSUPPORTED', `the broker can't do that: ${text}${advice(text)}`, because);
  }
  if (text.includes('exclusive use')) return new PostriderError('QUEUE_LOCKED', text, because);
  if (/message size \d+ is larger/.test(text)) return new PostriderError('TOO_LARGE', text, because);
  return new PostriderError(ofReply[codeOf(error)] ?? 'INTERNAL', text, because);
}

/** For a connection that can't be made at all, however often it is tried; null: trying again may help. */
export function hopeless(error: unknown, shown: string): PostriderError | null {
  const code = codeOf(error);
  const why = whatHappened(error);
  if (code === 'ACCESS_REFUSED') {
    return new PostriderError('ACCESS_REFUSED', `${shown} refused the login: check user and password (${why})`, {
      cause: error,
    });
  }
  if (code === 'NOT_ALLOWED') {
    return new PostriderError(
      'ACCESS_REFUSED',
      `${shown} refused the vhost: it isn't there, or the user may not use it (${why})`,
      {
        cause: error,
      },
    );
  }
  if (/^(?:CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_SSL_)/.test(code)) {
    return new PostriderError('UNREACHABLE', `no trusted TLS connection to ${shown}: ${why}; see the option tls`, {
      cause: error,
    });
  }
  return null;
}

export function unreachable(shown: string, waitedMs: number, error: unknown): PostriderError {
  const why = error === null ? 'no answer' : whatHappened(error);
  return new PostriderError('UNREACHABLE', `no broker answered at ${shown} within ${waitedMs} ms: ${why}`, {
    cause: error,
  });
}

export function whatHappened(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // An attempt at several addresses has no message of its own.
  return error.message === '' ? codeOf(error) : error.message;
}

export function lostDelivery(): PostriderError {
  return new PostriderError('DELIVERY_LOST', 'this delivery is not held any more; its message will come again');
}

export function unroutable(to: Address): PostriderError {
  return new PostriderError(
    'UNROUTABLE',
    `no queue takes what is published to ${nameOf(to)}; the message was not stored`,
  );
}

export function nameOf(to: Address): string {
  return to.exchange === '' ? `queue '${to.routingKey}'` : `exchange '${to.exchange}' with key '${to.routingKey}'`;
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

function advice(text: string): string {
  if (text.includes('x-delivery-limit')) return `; ${deliveryLimitAdvice}`;
  if (text.includes('x-max-priority')) return '; a queue with priorities must not be a quorum queue';
  return '';
}

export const deliveryLimitAdvice =
  'RabbitMQ limits deliveries only in quorum queues, which are durable and have no priorities: give deliveryLimit: false, or make it such a queue';
