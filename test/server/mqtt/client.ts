/** A client that sends what a test tells it, packet by packet, and shows what comes back. */
import assert from 'node:assert/strict';
import { connect as connectSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  acknowledge,
  connect,
  type ConnectOptions,
  decode,
  disconnect,
  type Packet,
  type PacketType,
  pingreq,
  publish,
  type PublishOptions,
  subscribe,
  type SubscribeOptions,
  unsubscribe,
  type Version,
} from './packet.ts';
import type { Properties } from './properties.ts';

/** A test that waits longer for a packet has failed. */
const patienceMs = 60_000;

export interface OpenOptions extends ConnectOptions {
  /** A session that outlives its connection: not clean, and with 5.0 for an hour. */
  readonly durable?: boolean;
}

export class MqttClient {
  readonly version: Version;
  readonly socket: Duplex;
  readonly clientId: string;
  ended = false;
  #received = Buffer.alloc(0);
  readonly #inbox: Packet[] = [];
  #packetId = 0;
  #quiet = 0;
  #wake: (() => void) | null = null;

  /** On 127.0.0.1, or over a stream of the test's own. */
  constructor(to: number | Duplex, version: Version, clientId = '') {
    this.version = version;
    this.clientId = clientId;
    this.socket = typeof to === 'number' ? connectSocket({ host: '127.0.0.1', port: to, noDelay: true }) : to;
    this.socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake?.();
    });
    const ended = (): void => {
      this.ended = true;
      this.#wake?.();
    };
    this.socket.on('end', ended).on('close', ended).on('error', ended);
  }

  send(...packets: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(packets));
  }

  /** The next packet of any type; null when the server has ended. */
  async next(awaited = 'a packet, or the end'): Promise<Packet | null> {
    return this.#inbox.shift() ?? this.#receive(awaited);
  }

  /** The next packet, which must be of this type; while it awaits an answer, messages that come before it are kept for later. */
  async expect(type: PacketType): Promise<Packet> {
    const kept = this.#inbox.findIndex((packet) => packet.type === type || !isDelivery(packet));
    let found: Packet | null = kept < 0 ? null : this.#inbox.splice(kept, 1)[0]!;
    while (found === null) {
      const packet = await this.#receive(type);
      assert.ok(packet !== null, `the connection ended, not ${type}`);
      if (packet.type !== type && isDelivery(packet)) this.#inbox.push(packet);
      else found = packet;
    }
    assert.equal(found.type, type, `reason ${found.reason.toString(16)}: ${found.bytes.toString('hex')}`);
    return found;
  }

  /** Everything until the server ends the connection. */
  async untilEnd(): Promise<Packet[]> {
    const packets: Packet[] = [];
    for (;;) {
      const packet = await this.next('the end of the connection');
      if (packet === null) return packets;
      packets.push(packet);
    }
  }

  /**
   * The server ends the connection. A 3.1.1 client sees nothing more than that; a 5.0 client may be told why first, by
   * one DISCONNECT with one of these reasons (whatever came before it is passed over).
   */
  async refused(...reasons: readonly number[]): Promise<void> {
    const packets = await this.untilEnd();
    const last = packets.find((packet) => packet.type === 'disconnect');
    if (last === undefined) return;
    assert.ok(reasons.includes(last.reason), `DISCONNECT with reason 0x${last.reason.toString(16)}`);
    assert.equal(packets.at(-1), last, 'a packet after DISCONNECT [MQTT-3.14.4-1]');
  }

  /** The server refuses the CONNECT: with CONNACK and one of these codes, or without a word. */
  async refusedConnect(...reasons: readonly number[]): Promise<void> {
    const packets = await this.untilEnd();
    if (packets.length === 0) return;
    assert.deepEqual(
      packets.map(({ type }) => type),
      ['connack'],
    );
    const [{ reason, sessionPresent }] = packets as [Packet];
    // 3.1.1 has no code for what is malformed [MQTT-3.1.4-1].
    const isKnown = this.version === 5 || reason <= 5;
    assert.ok(isKnown && reasons.includes(reason), `CONNACK with reason 0x${reason.toString(16)}`);
    assert.equal(sessionPresent, false, 'session present beside a refusal');
  }

  async connect(options: OpenOptions = {}): Promise<Packet> {
    const { durable = false, ...asked } = options;
    const given = asked.properties ?? {};
    const lasting = durable && this.version === 5 && !Buffer.isBuffer(given) && given.sessionExpiry === undefined;
    this.send(
      connect(this.version, {
        clientId: this.clientId,
        clean: !durable,
        ...asked,
        ...(lasting ? { properties: { ...given, sessionExpiry: 3600 } } : {}),
      }),
    );
    const connack = await this.expect('connack');
    assert.equal(connack.reason, 0, `CONNACK ${JSON.stringify(connack.properties)}`);
    return connack;
  }

  /** Messages, and releases of them, that came and were not taken. */
  get pending(): number {
    return this.#inbox.length;
  }

  packetId(): number {
    return (this.#packetId = (this.#packetId % 65_535) + 1);
  }

  async subscribe(filters: string | readonly string[], options: SubscribeOptions = {}): Promise<Packet> {
    const id = this.packetId();
    this.send(subscribe(this.version, id, typeof filters === 'string' ? [filters] : filters, options));
    const suback = await this.expect('suback');
    assert.equal(suback.id, id);
    return suback;
  }

  async unsubscribe(filters: string | readonly string[]): Promise<Packet> {
    const id = this.packetId();
    this.send(unsubscribe(this.version, id, typeof filters === 'string' ? [filters] : filters));
    const unsuback = await this.expect('unsuback');
    assert.equal(unsuback.id, id);
    return unsuback;
  }

  /** With the whole exchange that the QoS asks for; when it is over, the server has the message. The first answer. */
  async publish(topic: string, payload = '', options: PublishOptions = {}): Promise<Packet> {
    const { qos = 0, id = this.packetId() } = options;
    this.send(publish(this.version, topic, payload, { ...options, id }));
    if (qos === 0) return this.ping();
    const answer = await this.expect(qos === 1 ? 'puback' : 'pubrec');
    assert.equal(answer.id, id);
    if (qos === 2 && answer.reason < 0x80) await this.release(id);
    return answer;
  }

  /** PUBREL, answered. */
  async release(id: number): Promise<Packet> {
    this.send(acknowledge('pubrel', id));
    const pubcomp = await this.expect('pubcomp');
    assert.equal(pubcomp.id, id);
    return pubcomp;
  }

  /** The next message, acknowledged to its end. */
  async message(payload?: string): Promise<Packet> {
    const message = await this.expect('publish');
    if (payload !== undefined) assert.equal(message.payload, payload, `from ${message.topic}`);
    await this.acknowledge(message);
    return message;
  }

  /** The next `count` messages, acknowledged. */
  async messages(count: number): Promise<Packet[]> {
    const messages: Packet[] = [];
    while (messages.length < count) messages.push(await this.message());
    return messages;
  }

  async acknowledge({ qos, id }: Packet): Promise<void> {
    if (qos === 1) this.send(acknowledge('puback', id));
    if (qos !== 2) return;
    this.send(acknowledge('pubrec', id));
    assert.equal((await this.expectRelease(id)).reason, 0);
    this.send(acknowledge('pubcomp', id));
  }

  async expectRelease(id: number): Promise<Packet> {
    for (;;) {
      const kept = this.#inbox.findIndex((packet) => packet.type === 'pubrel' && packet.id === id);
      if (kept >= 0) return this.#inbox.splice(kept, 1)[0]!;
      const packet = await this.#receive(`pubrel of ${id}`);
      assert.ok(packet !== null, 'the connection ended, not pubrel');
      assert.ok(isDelivery(packet), `${packet.type}, not pubrel`);
      this.#inbox.push(packet);
    }
  }

  async ping(): Promise<Packet> {
    this.send(pingreq);
    return this.expect('pingresp');
  }

  /** Nothing is under way to this client: messages it sends to itself, at QoS 0 and 1, are the next that come. */
  async quiet(): Promise<void> {
    const topics = [0, 1].map((qos) => `quiet/${process.pid}/${this.clientId}/${(this.#quiet += 1)}/${qos}`);
    for (const [qos, topic] of topics.entries()) await this.subscribe(topic, { qos });
    for (const [qos, topic] of topics.entries()) await this.publish(topic, 'quiet', { qos });
    const came = await this.messages(2);
    const found = came.map(({ topic, payload }) => (topics.includes(topic) ? topic : `${topic}: ${payload}`));
    assert.deepEqual(found.sort(), topics, 'a message that was not to come');
    await this.unsubscribe(topics);
    assert.deepEqual(this.#inbox, []);
  }

  /** Says that it goes, and waits until the server has taken note. */
  async disconnect(reason = 0, given?: Properties): Promise<void> {
    this.send(disconnect(this.version, reason, given));
    assert.deepEqual(await this.untilEnd(), []);
    this.socket.destroy();
  }

  /** Goes without a word. */
  drop(): void {
    this.socket.destroy();
  }

  async #receive(awaited: string): Promise<Packet | null> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const packet = decode(this.#received, this.version);
      if (packet !== null) {
        this.#received = this.#received.subarray(packet.bytes.length);
        return packet;
      }
      if (this.ended) {
        assert.equal(this.#received.length, 0, `ended within a packet: ${this.#received.toString('hex')}`);
        return null;
      }
      await new Promise<void>((resolve, reject) => {
        const late = (): void =>
          reject(new Error(`${awaited} did not come to ${this.clientId} within ${patienceMs} ms`));
        const timer = setTimeout(late, Math.max(0, deadline - performance.now()));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

const isDelivery = ({ type }: Packet): boolean => type === 'publish' || type === 'pubrel';
