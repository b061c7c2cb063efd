/** Where everything begins: `connect(url)`. */
import { openLocal } from '../engine/local/index.ts';
import { fileDirectory } from '../file-directory.ts';
import { nearest } from '../nearest.ts';
import { PostriderError } from './errors.ts';
import { EmbeddedLink } from './embedded/embedded-link.ts';
import { EmbeddedMq } from './embedded-mq.ts';
import { Mq } from './mq.ts';
import { callable, checkOptions, type Checks, describe, object, signal, text, waitMs } from './option-check.ts';

export interface ConnectOptions {
  /** For `amqp:`: how long to try before the first connection is given up, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** For `amqp:`: what this application is called in the broker's lists. */
  readonly name?: string;
  /** For `amqp:`: gives up connecting, with ABORTED. What is connected stays so. */
  readonly signal?: AbortSignal;
  /** For `amqps:`: options of `tls.connect`, such as `{ ca }` for a certificate of one's own. */
  readonly tls?: object;
  /** Gets a line now and then that an operator should see (a repaired journal, say). Default: they are written to stderr. */
  readonly log?: (line: string) => void;
}

const checks: Checks<ConnectOptions> = {
  connectTimeoutMs: waitMs(1),
  name: text,
  signal,
  tls: object,
  log: callable,
};
const schemes = ['file:', 'memory:', 'amqp:', 'amqps:'];

/**
 * Opens a durable queue in this process (`file:./data`), one that keeps nothing (`memory:`), or a connection to a broker
 * (`amqp://user:password@host:5672/vhost`, Postrider or RabbitMQ).
 * @throws PostriderError INVALID_URL, INVALID_OPTION, UNREACHABLE, ACCESS_REFUSED, ABORTED, DATA_LOCKED, DATA_FOREIGN, DATA_NEWER, DATA_CORRUPT, DATA_UNWRITABLE
 */
export function connect(url: `file:${string}` | `memory:${string}`, options?: ConnectOptions): Promise<EmbeddedMq>;
export function connect(url: string | URL, options?: ConnectOptions): Promise<Mq>;
export async function connect(url: string | URL, options: ConnectOptions = {}): Promise<Mq> {
  checkOptions('connect()', options, checks);
  const text = url instanceof URL ? url.href : url;
  if (typeof text !== 'string') {
    throw new PostriderError('INVALID_URL', `connect() wants a URL such as 'file:./data', not ${describe(url)}`);
  }
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(text)?.[0].toLowerCase() ?? '';
  if (scheme === 'file:' || scheme === 'memory:') return embedded(text, scheme, options);
  if (scheme === 'amqp:' || scheme === 'amqps:') return remote(text, options);
  throw unknownScheme(text, scheme);
}

async function embedded(url: string, scheme: string, options: ConnectOptions): Promise<EmbeddedMq> {
  for (const name of ['connectTimeoutMs', 'name', 'signal', 'tls'] as const) {
    if (options[name] === undefined) continue;
    throw new PostriderError('INVALID_OPTION', `connect('${url}'): ${name} is for amqp: URLs`);
  }
  if (scheme === 'memory:' && url.length > scheme.length) {
    throw new PostriderError(
      'INVALID_URL',
      `'${url}': memory: takes nothing behind it; each connect('memory:') is a broker of its own`,
    );
  }
  const log = options.log ?? ((line: string) => process.stderr.write(`postrider: ${line}\n`));
  const mq = new EmbeddedMq(log);
  await mq.begin(async (events) => {
    const link = await EmbeddedLink.open(openLocal(scheme === 'memory:' ? 'memory:' : directoryOf(url)), events, log);
    mq.broker = link.broker;
    return link;
  });
  return mq;
}

async function remote(url: string, options: ConnectOptions): Promise<Mq> {
  const { RemoteLink } = await import('./remote/remote-link.ts');
  const mq = new Mq();
  await mq.begin((events) => RemoteLink.open(url, options, events));
  return mq;
}

/** Of a `file:` URL. @throws PostriderError INVALID_URL */
export function directoryOf(url: string): string {
  let path: string;
  try {
    path = fileDirectory(url);
  } catch (error) {
    const why = `'${url}': ${(error as Error).message}; write file:./data, or file:///var/data`;
    throw new PostriderError('INVALID_URL', why, { cause: error });
  }
  if (path === '') {
    throw new PostriderError('INVALID_URL', `'${url}' names no directory; write file:./data, say`);
  }
  return path;
}

function unknownScheme(url: string, scheme: string): PostriderError {
  const meant = scheme === '' ? undefined : nearest(scheme, schemes);
  const shown = url.replace(/\/\/[^@/]*@/, '//...@');
  const advice =
    url === ''
      ? 'is empty; write file:./data, memory: or amqp://host'
      : scheme === ''
        ? `is no URL; did you mean 'file:${url}'?`
        : meant === undefined
          ? `has the unknown scheme '${scheme}'; there are ${schemes.join(', ')}`
          : `has the unknown scheme '${scheme}'; did you mean '${meant}'?`;
  return new PostriderError('INVALID_URL', `'${shown}' ${advice}`);
}
