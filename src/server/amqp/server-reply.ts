/** What the server itself answers to a message: to a direct reply-to address, or into a queue. */
import type { CommitReceiver, MessageView } from '../../broker/index.ts';
import { encodeProperties, readStringProperty } from '../../format/basic-properties.ts';
import type { Channel } from './channel.ts';
import { replyToPrefix } from './reply-to.ts';

export interface ReplyAddress {
  readonly replyTo: string;
  readonly correlationId: string | undefined;
}

const ignored: CommitReceiver<undefined> = { committed: () => undefined, failed: () => undefined };

/** Null: there is none, or it is that of the question itself. @throws FormatError */
export function replyAddress(
  { head, propertiesStart, propertiesEnd }: MessageView,
  questionKey: string,
): ReplyAddress | null {
  const replyTo = readStringProperty(head, propertiesStart, propertiesEnd, 'replyTo') ?? '';
  if (replyTo === '' || replyTo === questionKey) return null;
  return { replyTo, correlationId: readStringProperty(head, propertiesStart, propertiesEnd, 'correlationId') };
}

/** Sends JSON; outside of any batch. Who is gone misses it. @throws BrokerError ACCESS_REFUSED */
export function sendReply(channel: Channel, { replyTo, correlationId }: ReplyAddress, json: string | Buffer): void {
  if (!channel.open) return;
  const contentType = 'application/json';
  const properties = correlationId === undefined ? { contentType } : { contentType, correlationId };
  const answer = viewOf(encodeProperties(properties), Buffer.isBuffer(json) ? json : Buffer.from(json));
  if (replyTo.startsWith(replyToPrefix)) {
    channel.connection.server.replies.deliver(replyTo, answer);
    return;
  }
  if (!channel.connection.publishing) channel.connection.startPublishing();
  const { session } = channel;
  const route = session.resolve(session.vhost.route(session.principal, '', replyTo), answer);
  if (route.unroutable) return;
  const batch = session.broker.begin();
  session.publish(batch, route, answer);
  batch.commit(ignored, undefined);
}

function viewOf(properties: Buffer, body: Buffer): MessageView {
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
