/** What a client leaves to be published when it is gone without a word [MQTT-3.1.2-8]. */
import {
  BrokerError,
  type CommitReceiver,
  ConnectionScope,
  isShortened,
  type ItemOutcome,
  type MessageView,
  RefusedMessages,
  routingKeyOf,
  Session,
} from '../../broker/index.ts';
import { CountedBatch } from '../counted-batch.ts';
import type { ConnectPacket } from '../../wire/mqtt/connect-packet.ts';
import { MqttError } from '../../wire/mqtt/mqtt-error.ts';
import type { Qos } from '../../wire/mqtt/packet-type.ts';
import { reasonCode } from '../../wire/mqtt/reason-code.ts';
import { encodePublishProperties } from './will-properties.ts';
import type { MqttServer } from './server.ts';
import type { MqttSession } from './session.ts';
import { StoredProperties } from './stored-properties.ts';

export interface Will {
  readonly topic: string;
  readonly qos: Qos;
  readonly retain: boolean;
  /** Seconds between the end of the connection and the publish; it may come back meanwhile. */
  readonly delaySeconds: number;
  /** As it is stored with the message (stored-properties.ts). */
  readonly properties: Buffer;
  readonly body: Buffer;
}

const stored = new StoredProperties();

/** The will of a CONNECT; null: it has none. @throws MqttError */
export function willOf({ will }: ConnectPacket): Will | null {
  if (will === null) return null;
  const { topic, payload, qos, retain, properties } = will;
  const { bytes, view } = encodePublishProperties(will);
  const refusal = stored.write(qos, retain, view, bytes, isShortened(routingKeyOf(topic)) ? topic : null);
  if (refusal !== null) throw new MqttError(reasonCode.quotaExceeded, refusal);
  return {
    topic,
    qos,
    retain,
    delaySeconds: properties.willDelayInterval ?? 0,
    properties: Buffer.from(stored.bytes.subarray(stored.start, stored.end)),
    body: Buffer.from(payload),
  };
}

/** Publishes it, which its session has no more, as the user that it was left by; permissions are asked now. Never throws. */
export function publishWill(server: MqttServer, owner: MqttSession, will: Will): void {
  const { vhost, principal, clientId, subscriber } = owner;
  if (principal === null) {
    server.log(`mqtt: the will of ${JSON.stringify(clientId)} is not published: its user is gone`);
    return;
  }
  const scope = new ConnectionScope(vhost, `will of ${clientId}`);
  const session = new Session(server.broker, vhost, principal, scope);
  session.subscriber = subscriber;
  const message: MessageView = {
    head: will.properties,
    envelopeStart: 0,
    envelopeEnd: 0,
    propertiesStart: 0,
    propertiesEnd: will.properties.length,
    body: will.body,
    bodyStart: 0,
    bodyEnd: will.body.length,
    expiresAt: 0,
    priority: 0,
    dueAt: 0,
    identity: null,
  };
  try {
    const found = server.routeOf(session, will.topic, clientId);
    const batch = new CountedBatch();
    const refused = new RefusedMessages(server.broker);
    batch.begin(server.broker.begin(undefined, false));
    try {
      owner.storeRecord(batch);
      const route = session.resolve(found, message);
      if (will.retain && !server.retain(owner, batch, will.topic, message)) {
        server.log(`mqtt: the will of ${JSON.stringify(clientId)} is not retained: there is no room`);
      }
      const item = batch.items;
      session.publish(batch, route, message);
      if (route.deadLettersRefused) refused.keep(item, route, message);
    } finally {
      batch.commit(new WillCommit(server, clientId), refused);
    }
  } catch (error) {
    // Whatever is wrong with it: its session ends, or goes on, as if it were not there.
    if (!(error instanceof BrokerError)) server.logBug(error);
    else server.log(`mqtt: the will of ${JSON.stringify(clientId)} is not published: ${error.message}`);
  }
}

/** Nobody waits for it. What was refused, by a queue that is full or for want of disk, is gone: its session has it no more. */
class WillCommit implements CommitReceiver<RefusedMessages> {
  readonly #server: MqttServer;
  readonly #clientId: string;

  constructor(server: MqttServer, clientId: string) {
    this.#server = server;
    this.#clientId = clientId;
  }

  committed(refused: RefusedMessages, outcomes: readonly ItemOutcome[] | null): void {
    refused.answered(outcomes);
    const refusal = outcomes?.find(({ outcome }) => outcome === 'refused');
    if (refusal === undefined) return;
    this.#server.log(`mqtt: the will of ${JSON.stringify(this.#clientId)} was refused: ${refusal.reason}`);
  }

  failed(): void {
    // The engine has ended. It stays in its session, and goes out after the next start.
  }
}
