/** Hot path: where a client's publishes go. Those that name the same topic as the one before take its route by comparing bytes. */
import { isShortened, type Route, type Session } from '../../broker/index.ts';
import { equalBytes, viewOf } from '../../format/copy.ts';
import { MqttError } from '../../wire/mqtt/mqtt-error.ts';
import type { PublishView } from '../../wire/mqtt/publish-view.ts';
import { reasonCode } from '../../wire/mqtt/reason-code.ts';
import type { Connection } from './connection.ts';

const noBytes = Buffer.alloc(0);
const leastBytes = 32;

export class PublishTarget {
  topic = '';
  /** The topic, where its routing key is shortened and the message has to carry it; else null. */
  carried: string | null = null;
  /** Null: the topic may not be published to; `refusal` says why. */
  route: Route | null = null;
  refusal: unknown = null;
  readonly #connection: Connection;
  #bytes = noBytes;
  #view = viewOf(noBytes);
  #length = -1;
  #permissions = -1;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The publish in `view` has its topic in `bytes[from, to)`. @throws MqttError when that is none */
  take(view: PublishView, bytes: Buffer, from: number, to: number, session: Session): void {
    const length = to - from;
    if (length !== this.#length || !equalBytes(this.#bytes, this.#view, 0, bytes, viewOf(bytes), from, length)) {
      if (view.topicStart < view.topicEnd) {
        // With an alias it lies elsewhere than in the packet, and was looked at when it was put there.
        if (from === view.topicStart) view.checkTopic(bytes);
        this.#checkLimits(view.topicLevels, length);
      }
      this.#keep(bytes, from, to);
      this.#find(session);
    } else if (this.route?.version !== session.vhost.version || this.#permissions !== session.principal.permissions) {
      this.#find(session);
    }
  }

  #checkLimits(levels: number, length: number): void {
    const { maxTopicLevels, maxTopicBytes } = this.#connection.settings;
    if (levels > maxTopicLevels) {
      throw new MqttError(reasonCode.topicNameInvalid, `the topic has ${levels} levels, more than ${maxTopicLevels}`);
    }
    if (length > maxTopicBytes) {
      throw new MqttError(reasonCode.topicNameInvalid, `the topic has ${length} bytes, more than ${maxTopicBytes}`);
    }
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    const length = to - from;
    if (length > this.#bytes.length) {
      this.#bytes = Buffer.allocUnsafeSlow(Math.max(length, leastBytes));
      this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
    }
    bytes.copy(this.#bytes, 0, from, to);
    this.#length = length;
    this.topic = bytes.toString('utf8', from, to);
  }

  #find(session: Session): void {
    this.#permissions = session.principal.permissions;
    this.refusal = null;
    try {
      this.route = this.#connection.routeOf(session, this.topic);
      this.carried = isShortened(this.route.routingKey) ? this.topic : null;
    } catch (error) {
      this.route = null;
      this.refusal = error;
    }
  }
}
