/** `amqp(s)://user:password@host:port/vhost?heartbeat=seconds`, in the client's words. */
import { createSecureContext } from 'node:tls';
import type { ConnectionOptions as ClientOptions } from 'rabbitmq-client';
import { nearest } from '../../nearest.ts';
import { PostriderError } from '../errors.ts';

export interface AmqpAddress {
  readonly client: ClientOptions;
  /** For errors: without the password. */
  readonly shown: string;
  readonly user: string;
}

const defaultPort = { 'amqp:': 5672, 'amqps:': 5671 } as const;
const parameters = ['heartbeat'];

/** @throws PostriderError INVALID_URL, INVALID_OPTION */
export function amqpAddress(text: string, tls: object | undefined): AmqpAddress {
  const invalid = (what: string, cause?: unknown): PostriderError =>
    new PostriderError('INVALID_URL', `'${withoutPassword(text)}' ${what}`, { cause });
  let url: URL;
  try {
    url = new URL(text);
  } catch (error) {
    throw invalid('is no URL; write amqp://user:password@host:5672/vhost', error);
  }
  const scheme = url.protocol as keyof typeof defaultPort;
  if (url.hostname === '') throw invalid('names no host; write amqp://localhost, say');
  if (scheme === 'amqp:' && tls !== undefined) {
    throw new PostriderError('INVALID_OPTION', `connect('${withoutPassword(text)}'): tls is for amqps: URLs`);
  }
  if (tls !== undefined) checkTls(withoutPassword(text), tls);
  const path = url.pathname.slice(1);
  if (path.includes('/')) throw invalid("has a vhost with '/' in it; write %2F");
  const heartbeat = heartbeatOf(url, invalid);
  const port = url.port === '' ? defaultPort[scheme] : Number(url.port);
  // Without brackets, as a socket takes it.
  const hostname = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const part = (encoded: string): string => {
    try {
      return decodeURIComponent(encoded);
    } catch (error) {
      throw invalid('has a % that is no escape; write %25', error);
    }
  };
  const nobody = url.username === '' && url.password === '';
  const user = nobody ? 'guest' : part(url.username);
  const vhost = path === '' ? '/' : part(path);
  return {
    client: {
      hostname,
      port,
      username: user,
      password: nobody ? 'guest' : part(url.password),
      vhost,
      ...(scheme === 'amqps:' ? { tls: { ...tls } } : {}),
      ...(heartbeat === null ? {} : { heartbeat }),
    },
    shown: `${scheme}//${url.host}${url.pathname === '/' ? '' : url.pathname}`,
    user,
  };
}

/** A key or certificate that can't be read would look like a broker that can't be reached. */
function checkTls(shown: string, tls: object): void {
  try {
    createSecureContext(tls);
  } catch (error) {
    throw new PostriderError('INVALID_OPTION', `connect('${shown}'): tls can't be used: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function heartbeatOf(url: URL, invalid: (what: string) => PostriderError): number | null {
  let heartbeat: number | null = null;
  for (const [name, value] of url.searchParams) {
    if (!parameters.includes(name)) {
      const meant = nearest(name, parameters);
      throw invalid(
        `has the unknown parameter '${name}'; ${meant === undefined ? `it knows ${parameters.join(', ')}` : `did you mean '${meant}'?`}`,
      );
    }
    if (!/^\d{1,5}$/.test(value)) throw invalid(`: heartbeat must be seconds, not '${value}'`);
    heartbeat = Number(value);
  }
  return heartbeat;
}

export function withoutPassword(url: string): string {
  return url.replace(/\/\/([^:@/]*):[^/]*@/, '//$1:...@');
}
