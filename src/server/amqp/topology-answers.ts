/**
 * The server answers one question itself, since AMQP 0-9-1 has no method for it: what is there? A message to the default
 * exchange with the routing key `amq.postrider.topology` and a `reply-to` is answered, past every queue, with the vhost as JSON.
 */
import {
  describe,
  requireReadAll,
  type Broker,
  type CommitReceiver,
  type MessageView,
  type Vhost,
} from '../../broker/index.ts';
import { encodeProperties, readStringProperty } from '../../format/basic-properties.ts';
import type { Channel } from './channel.ts';
import { replyToPrefix, topologyKey } from './reply-to.ts';

const ignored: CommitReceiver<undefined> = { committed: () => undefined, failed: () => undefined };

export class TopologyAnswers {
  readonly #broker: Broker;
  /** Who asks while it is looked at gets the same answer. */
  readonly #looking = new Map<Vhost, Promise<Buffer>>();

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** False: it doesn't say to whom the answer goes. @throws BrokerError ACCESS_REFUSED */
  answer(channel: Channel, { head, propertiesStart, propertiesEnd }: MessageView): boolean {
    const replyTo = readStringProperty(head, propertiesStart, propertiesEnd, 'replyTo') ?? '';
    if (replyTo === '' || replyTo === topologyKey) return false;
    const correlationId = readStringProperty(head, propertiesStart, propertiesEnd, 'correlationId');
    const { principal, vhost } = channel.session;
    requireReadAll(principal, vhost);
    const contentType = 'application/json';
    const properties = correlationId === undefined ? { contentType } : { contentType, correlationId };
    this.#look(vhost)
      .then((body) => this.#reply(channel, replyTo, answerView(encodeProperties(properties), body)))
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

  /** To a direct reply-to address, or into a queue. */
  #reply(channel: Channel, replyTo: string, answer: MessageView): void {
    if (!channel.open) return;
    if (replyTo.startsWith(replyToPrefix)) {
      channel.connection.server.replies.deliver(replyTo, answer);
      return;
    }
    if (!channel.connection.publishing) channel.connection.startPublishing();
    const { session } = channel;
    const route = session.resolve(session.vhost.route(session.principal, '', replyTo), answer);
    if (route.targets === null) return;
    const batch = this.#broker.begin();
    session.publish(batch, route, answer);
    batch.commit(ignored, undefined);
  }
}

function answerView(properties: Buffer, body: Buffer): MessageView {
  return {
    head: properties,
    envelopeStart: 0,
    envelopeEnd: 0,
    propertiesStart: 0,
    propertiesEnd: properties.length,
    body,
    bodyStart: 0,
    bodyEnd: body.length,
    expiresAt: 0,
    priority: 0,
    dueAt: 0,
    identity: null,
  };
}
