/**
 * The server answers one question itself, since AMQP 0-9-1 has no method for it: what is there? A message to the default
 * exchange with the routing key `amq.postrider.topology` and a `reply-to` is answered, past every queue, with the vhost as JSON.
 */
import { describe, requireReadAll, type Broker, type MessageView, type Vhost } from '../../broker/index.ts';
import type { Channel } from './channel.ts';
import { topologyKey } from './reply-to.ts';
import { replyAddress, sendReply } from './server-reply.ts';

export class TopologyAnswers {
  readonly #broker: Broker;
  /** Who asks while it is looked at gets the same answer. */
  readonly #looking = new Map<Vhost, Promise<Buffer>>();

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** False: it doesn't say to whom the answer goes. @throws BrokerError ACCESS_REFUSED */
  answer(channel: Channel, view: MessageView): boolean {
    const address = replyAddress(view, topologyKey);
    if (address === null) return false;
    const { principal, vhost } = channel.session;
    requireReadAll(principal, vhost);
    this.#look(vhost)
      .then((body) => sendReply(channel, address, body))
      .catch((error: unknown) => channel.connection.log(`could not tell the topology: ${String(error)}`));
    return true;
  }

  #look(vhost: Vhost): Promise<Buffer> {
    let looking = this.#looking.get(vhost);
    if (looking === undefined) {
      looking = describe(this.#broker, vhost)
        .then((description) => Buffer.from(JSON.stringify(description)))
        .finally(() => this.#looking.delete(vhost));
      this.#looking.set(vhost, looking);
    }
    return looking;
  }
}
