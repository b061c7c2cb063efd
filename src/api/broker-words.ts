/**
 * What a broker refuses, in the API's words. Postrider's broker and RabbitMQ use the same codes and texts (AMQP's, RabbitMQ's), so
 * that this serves the embedded link and the remote one.
 */
import { type ErrorCode, PostriderError } from './errors.ts';

const ofCode: Readonly<Record<string, ErrorCode>> = {
  ACCESS_REFUSED: 'ACCESS_REFUSED',
  NOT_FOUND: 'QUEUE_NOT_FOUND',
  RESOURCE_LOCKED: 'QUEUE_LOCKED',
  PRECONDITION_FAILED: 'REFUSED',
  CONTENT_TOO_LARGE: 'TOO_LARGE',
  NOT_ALLOWED: 'REFUSED',
  COMMAND_INVALID: 'REFUSED',
  NOT_IMPLEMENTED: 'UNSUPPORTED',
  RESOURCE_ERROR: 'REFUSED',
  INTERNAL_ERROR: 'REFUSED',
};

/** Is it a code with which a broker refuses something? */
export function isRefusalCode(code: string): boolean {
  return ofCode[code] !== undefined;
}

/** `text`: as the broker says it, with or without the code before it. */
export function refusedBy(code: string, text: string, cause: unknown): PostriderError {
  const said = bare(text);
  const because = { cause };
  const differs = differences(said);
  if (differs !== null) return new PostriderError('QUEUE_DIFFERS', differs, because);
  // "invalid arg 'x-delivery-limit' for queue 'q' of queue type rabbit_classic_queue"
  if (/invalid (?:arg|property|type) '|is deprecated|not supported|unsupported/i.test(said)) {
    return new PostriderError('UNSUPPORTED', `the broker can't do that: ${said}${advice(said)}`, because);
  }
  if (said.includes('stopped, because its data is damaged')) {
    return new PostriderError('DATA_CORRUPT', `${said}; postrider inspect DIRECTORY tells all there is`, because);
  }
  if (said.includes('exclusive use')) {
    const which = /queue '.*'/.exec(said)?.[0] ?? 'the queue';
    const why = `${which} is in exclusive use: somebody consumes it, and one of the two wants it alone`;
    return new PostriderError('QUEUE_LOCKED', `${why}; wait until they are gone, or use singleActiveConsumer`, because);
  }
  const [, bytes, most] = /message size (\d+) is larger than configured max size (\d+)/.exec(said) ?? [];
  if (bytes !== undefined) {
    const what = `a message of ${bytes} bytes is larger than the broker takes: ${most} bytes`;
    return new PostriderError('TOO_LARGE', `${what}; put the data elsewhere, and send where`, because);
  }
  const missing = /^no ((?:queue|exchange) '.*')/s.exec(said)?.[1];
  if (code === 'NOT_FOUND' && missing !== undefined) {
    const made = missing.startsWith('queue') ? 'mq.queue(name) makes it' : "a topic's subscribe() makes it";
    return new PostriderError('QUEUE_NOT_FOUND', `there is no ${missing}; ${made}`, because);
  }
  return new PostriderError(ofCode[code] ?? 'INTERNAL', said, because);
}

/** "QueueDeclare: NOT_FOUND - no queue 'q' in vhost '/'" is "no queue 'q'". */
export function bare(text: string): string {
  return text
    .replace(/^(?:\w+|undefined): (?=[A-Z_]{4,}\b)/, '')
    .replace(/^[A-Z_]{4,} - /, '')
    .replace(/ in vhost '\/'/g, '');
}

const inequivalent = /inequivalent arg '([^']+)' for (queue|exchange) '(.*?)'(?: in vhost '.*?')?: (.*)$/s;
const compared = /received (.*?) but current is (.*)$/s;

/** "inequivalent arg 'x-max-length' for queue 'q': received '11' but current is '10'", in options; null: it says something else. */
function differences(said: string): string | null {
  const [, argument = '', kind, name = '', values = ''] = inequivalent.exec(said) ?? [];
  if (kind === undefined) return null;
  const [, received = '', current = ''] = compared.exec(values) ?? [];
  const [asked, has] = [value(received), value(current)];
  if (kind === 'exchange') {
    const what = argument === 'type' ? `of the type '${has}'` : `with ${argument} ${has ?? 'none'}`;
    return `exchange '${name}' is there ${what}, which topics can't use: they need a durable one of the type 'topic'; take another name`;
  }
  const write = options[argument];
  if (write === undefined) {
    return `queue '${name}' is there with other settings (${argument}: ${has ?? 'none'}, not ${asked ?? 'none'}), made by another client perhaps; ${remedy}`;
  }
  return `queue '${name}' is there with ${write(has)}, not with ${write(asked)} as asked for; ${remedy}`;
}

const remedy =
  'ask for what it has, or use it as it stands with declare: false; to change it, empty and delete it first, or take another name';

type Write = (value: string | null) => string;
const number =
  (option: string): Write =>
  (value) =>
    value === null ? `no ${option}` : `${option}: ${value}`;

/** Of each argument: the option that makes it. */
const options: Readonly<Record<string, Write>> = {
  durable: (value) => `durable: ${value ?? 'true'}`,
  exclusive: (value) => (value === 'true' ? 'one connection that owns it' : 'no owner'),
  auto_delete: (value) => (value === 'true' ? 'an end when nobody consumes it any more' : 'no end of its own'),
  'x-max-priority': number('priorities'),
  'x-message-ttl': number('messageTtlMs'),
  'x-max-length': number('maxLength'),
  'x-max-length-bytes': number('maxBytes'),
  'x-expires': number('expiresMs'),
  'x-overflow': (value) =>
    value === null ? 'no overflow' : `overflow: '${value === 'reject-publish' ? 'reject' : 'drop-oldest'}'`,
  'x-dead-letter-exchange': (value) =>
    value === null ? 'deadLetter: false' : value === '' ? 'a dead-letter queue' : `the dead-letter exchange '${value}'`,
  'x-dead-letter-routing-key': (value) => (value === null ? 'deadLetter: false' : `deadLetter: '${value}'`),
  'x-delivery-limit': (value) => `deliveryLimit: ${value ?? 'false'}`,
  'x-single-active-consumer': (value) => `singleActiveConsumer: ${value ?? 'false'}`,
  'x-group-by': (value) => (value === null ? 'no groupBy' : `groupBy: '${value}'`),
  'x-queue-type': (value) => `the queue type ${value ?? 'classic'}`,
};

/** "'11'", "the value '10' of type 'signedint'", "none". */
function value(text: string): string | null {
  return text === 'none' ? null : (/^(?:the value )?'(.*?)'(?: of type '.*')?$/s.exec(text)?.[1] ?? text);
}

function advice(text: string): string {
  if (text.includes('x-delivery-limit')) return `; ${deliveryLimitAdvice}`;
  if (text.includes('x-max-priority')) return '; a queue with priorities must not be a quorum queue';
  return '';
}

export const deliveryLimitAdvice =
  'RabbitMQ limits deliveries only in quorum queues, which are durable and have no priorities: give deliveryLimit: false, or make it such a queue';
