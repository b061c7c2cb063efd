/** What queues, topics and subscriptions may be called. AMQP's short strings hold 255 bytes of UTF-8. */
import { PostriderError } from './errors.ts';
import { describe } from './option-check.ts';

/** Of names, and of routing keys. */
export const mostBytes = 255;
/** What is added to a queue's name for its dead-letter queue. */
export const deadSuffix = '.dead';
/** Where topics are published to, unless they name another. MQTT's topics share it. */
export const defaultExchange = 'amq.topic';
/** Of queues where messages wait that were published over AMQP with a delay. */
export const delayPrefix = 'postrider.delay.';

/** @throws PostriderError INVALID_NAME */
export function checkQueueName(name: unknown, what = 'queue'): asserts name is string {
  if (typeof name !== 'string' || name === '') {
    throw new PostriderError(
      'INVALID_NAME',
      `the name of a ${what} must be a text that is not empty, not ${describe(name)}`,
    );
  }
  const most = mostBytes - deadSuffix.length;
  const bytes = Buffer.byteLength(name);
  if (bytes > most) {
    throw new PostriderError(
      'INVALID_NAME',
      `the name of a ${what} may have ${most} bytes; '${short(name)}' has ${bytes}`,
    );
  }
  if (name.startsWith('amq.')) {
    throw new PostriderError('INVALID_NAME', `names that begin with 'amq.' are the broker's own: '${short(name)}'`);
  }
  checkCharacters(name, `the name of a ${what}`);
}

/** @throws PostriderError INVALID_NAME */
export function checkExchangeName(name: unknown): asserts name is string {
  const what = 'the name of an exchange';
  if (typeof name !== 'string' || name === '') {
    throw new PostriderError('INVALID_NAME', `${what} must be a text that is not empty, not ${describe(name)}`);
  }
  const bytes = Buffer.byteLength(name);
  if (bytes > mostBytes) {
    throw new PostriderError('INVALID_NAME', `${what} may have ${mostBytes} bytes; '${short(name)}' has ${bytes}`);
  }
  checkCharacters(name, what);
}

/** What would be another name once it is UTF-8, or break a log. */
function checkCharacters(name: string, what: string): void {
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(name)) {
    throw new PostriderError('INVALID_NAME', `${what} can't have control characters: ${JSON.stringify(short(name))}`);
  }
  if (/\p{Surrogate}/u.test(name)) {
    throw new PostriderError('INVALID_NAME', `${what} has half of a character: ${JSON.stringify(short(name))}`);
  }
}

/** @throws PostriderError INVALID_NAME */
export function checkTopic(topic: unknown): asserts topic is string {
  if (typeof topic !== 'string' || topic === '') {
    throw new PostriderError('INVALID_NAME', `a topic must be a text that is not empty, not ${describe(topic)}`);
  }
  const bytes = Buffer.byteLength(topic);
  if (bytes > mostBytes) {
    throw new PostriderError('INVALID_NAME', `a topic may have ${mostBytes} bytes; '${short(topic)}' has ${bytes}`);
  }
  checkCharacters(topic, 'a topic');
}

export function short(name: string): string {
  return name.length > 40 ? `${name.slice(0, 40)}...` : name;
}
