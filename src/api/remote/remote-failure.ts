/** What the client and the broker behind it answer, in the API's words. */
import { AMQPConnectionError } from 'rabbitmq-client';
import { bare, isRefusalCode, refusedBy } from '../broker-words.ts';
import { PostriderError } from '../errors.ts';

/** The connection or the channel ended before the answer, and it was not the question's fault. */
export function isLoss(error: unknown): boolean {
  if (error instanceof PostriderError) return error.code === 'UNKNOWN_OUTCOME' || error.code === 'UNREACHABLE';
  return !isRefusalCode(codeOf(error));
}

/** The broker refused it: what ends a whole connection says nothing of one message on it, which may be stored. */
export function isVerdict(error: unknown): boolean {
  return !(error instanceof AMQPConnectionError) && !isLoss(error);
}

/** The broker could not, and may be able to later: it fails, has no room for it, or the queue's node is away (RabbitMQ). */
export function mayPass(error: unknown): boolean {
  const said = error instanceof PostriderError ? error.cause : error;
  return /^(?:INTERNAL|RESOURCE)_ERROR$/.test(codeOf(said)) || /\bhome node\b.*\bis down\b/s.test(whatHappened(said));
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
  return refusedBy(codeOf(error), text, error);
}

/** For a connection that can't be made at all, however often it is tried; null: trying again may help. */
export function hopeless(error: unknown, shown: string, user: string): PostriderError | null {
  const code = codeOf(error);
  const why = whatHappened(error);
  const because = { cause: error };
  if (code === 'ACCESS_REFUSED') {
    const what = `${shown} refused the login of user '${user}': check user and password`;
    return new PostriderError('ACCESS_REFUSED', why === code ? what : `${what} (${why})`, because);
  }
  if (code === 'NOT_ALLOWED') {
    const what = `${shown} refused the vhost: it isn't there, or user '${user}' may not use it (${why})`;
    return new PostriderError('ACCESS_REFUSED', what, because);
  }
  if (code === 'EPROTO' || /^ERR_SSL_(?:WRONG_VERSION|PACKET_LENGTH)/.test(code)) {
    const what = `no TLS is spoken at ${shown}: another port, or amqp: instead of amqps:?`;
    return new PostriderError('UNREACHABLE', what, because);
  }
  if (/^(?:CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_SSL_)/.test(code)) {
    return new PostriderError(
      'UNREACHABLE',
      `no trusted TLS connection to ${shown}: ${why}; see the option tls`,
      because,
    );
  }
  return null;
}

export function unreachable(shown: string, waitedMs: number, error: unknown): PostriderError {
  const why = error === null ? 'no answer' : whatHappened(error);
  const isCut = /^(?:CONN_CLOSE|READ_END|ECONNRESET|FRAME_ERROR|CODEC)$/.test(codeOf(error));
  const hint = isCut && shown.startsWith('amqp:') ? '; does it speak AMQP 0-9-1 there, or TLS (amqps:)?' : '';
  return new PostriderError('UNREACHABLE', `no broker answered at ${shown} within ${waitedMs} ms: ${why}${hint}`, {
    cause: error,
  });
}

export function whatHappened(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // An attempt at several addresses has no message of its own.
  return error.message === '' ? codeOf(error) : bare(error.message);
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}
