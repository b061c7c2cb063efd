import { ConnectionError } from './amqp-error.ts';

/** As many as a reply text has room for. */
const mostShown = 100;

/** The arguments of a method are not laid out as its class says. In RabbitMQ's words, which show the bytes. */
export function undecodable(bytes: Buffer, start: number, end: number): ConnectionError {
  const shown = bytes.subarray(start, Math.min(end, start + mostShown));
  return new ConnectionError('FRAME_ERROR', `cannot decode <<${Array.from(shown).join(',')}>>`);
}
