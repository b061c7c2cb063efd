/** Topic aliases of one client's publishes (MQTT 5 §3.3.2.3.4), and where the topic of the publish in hand lies. */
import { MqttError, protocolError } from '../../wire/mqtt/mqtt-error.ts';
import type { PublishView } from '../../wire/mqtt/publish-view.ts';
import { reasonCode } from '../../wire/mqtt/reason-code.ts';

export class InboundAliases {
  bytes: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;
  readonly #maximum: number;
  readonly #topics: (Buffer | undefined)[] = [];

  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /** Hot. The publish has an alias. @throws MqttError for one that was not agreed on [MQTT-3.3.2-9] or that names no topic */
  resolve(view: PublishView, bytes: Buffer): void {
    const alias = view.properties.topicAlias;
    if (alias > this.#maximum) {
      const text = `topic alias ${alias} is above the maximum of ${this.#maximum}`;
      throw new MqttError(reasonCode.topicAliasInvalid, text);
    }
    if (view.topicStart < view.topicEnd) {
      view.checkTopic(bytes);
      this.#topics[alias] = Buffer.from(bytes.subarray(view.topicStart, view.topicEnd));
    }
    const topic = this.#topics[alias];
    if (topic === undefined) throw protocolError(`topic alias ${alias} names no topic`);
    this.bytes = topic;
    this.start = 0;
    this.end = topic.length;
  }
}
