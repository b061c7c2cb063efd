/** What can become of a message, or of a delivery, in the same words on every link. */
import { PostriderError } from './errors.ts';
import type { Address } from './link.ts';
import { defaultExchange } from './names.ts';

export function nameOf({ exchange, routingKey }: Address): string {
  if (exchange === '') return `queue '${routingKey}'`;
  return exchange === defaultExchange ? `topic '${routingKey}'` : `topic '${routingKey}' of exchange '${exchange}'`;
}

export function unroutable(to: Address): PostriderError {
  return new PostriderError(
    'UNROUTABLE',
    `no queue takes what is published to ${nameOf(to)}; the message was not stored`,
  );
}

/** `limited`: the queues behind it that refuse when they are full, as far as they are known. `otherwise`: what else it may be. */
export function queueFull(to: Address, limited: readonly string[], otherwise = ''): PostriderError {
  const [first, ...others] = limited.map((queue) => `'${queue}'`);
  const subscribers =
    first === undefined
      ? 'a queue behind it'
      : others.length === 0
        ? `its queue ${first}`
        : `one of its queues ${[first, ...others].join(', ')}`;
  const which = to.exchange === '' ? `${nameOf(to)} is` : `${nameOf(to)}: ${subscribers} is`;
  const why = `${which} at its length limit and took no more${otherwise}`;
  return new PostriderError('QUEUE_FULL', `${why}; publish again later`);
}

export function lostDelivery(): PostriderError {
  return new PostriderError('DELIVERY_LOST', 'this delivery is not held any more; its message will come again');
}
