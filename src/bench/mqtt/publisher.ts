// Hot path: allocates per run of messages, never per message.
//
// As over AMQP, the ring of pre-encoded messages is also the send buffer: a slot is written again only after its message was
// acknowledged, or with QoS 0 has come, hence after its bytes left this process.
import { stampBodies, writeBodyTemplate } from '../body.ts';
import { Acknowledgements } from './acknowledgements.ts';
import type { Allowance, Waiting } from './allowance.ts';
import type { MqttConnection } from './connection.ts';
import { packetBytes, packetType, publishPacket, type Qos } from './packet.ts';

/** What one publisher sends. */
export interface MqttPublisherPlan {
  topic: string;
  qos: Qos;
  stream: number;
  bodyBytes: number;
  /** The most messages that may be unacknowledged; with QoS 0, that may be on their way to the slowest subscriber. */
  window: number;
  /** Slots in the ring, at least the window. Packet ids are slots. */
  ring: number;
}

/** The least free part of the window worth a write: a broker that acknowledges singly shall not cost a system call a message. */
const refillFraction = 1 / 8;
const finalAnswer = { 0: 0, 1: packetType.puback, 2: packetType.pubcomp } as const;

export class MqttPublisher implements Waiting {
  sent = 0;
  acknowledged = 0;
  onFailure: (cause: Error) => void = () => undefined;
  readonly #connection: MqttConnection;
  readonly #plan: MqttPublisherPlan;
  readonly #allowance: Allowance;
  readonly #arena: Buffer;
  readonly #slotBytes: number;
  readonly #releases: Acknowledgements | undefined;
  /** For each slot the packet that must come next for its message; 0: the slot is free. */
  readonly #due: Uint8Array;
  readonly #firstDue: number;
  readonly #refillAt: number;
  #floor = 0;
  #stopped = true;
  #waits = false;

  constructor(connection: MqttConnection, plan: MqttPublisherPlan, allowance: Allowance) {
    const { topic, qos, stream, bodyBytes, window, ring } = plan;
    if (ring < window || ring > 0xffff) throw new RangeError('the ring does not fit the plan');
    this.#connection = connection;
    this.#plan = plan;
    this.#allowance = allowance;
    this.#slotBytes = publishPacket(topic, qos, 1, bodyBytes).length;
    this.#arena = Buffer.allocUnsafeSlow(this.#slotBytes * ring);
    this.#releases = qos === 2 ? new Acknowledgements(connection.socket, window) : undefined;
    this.#due = new Uint8Array(ring);
    this.#firstDue = qos === 2 ? packetType.pubrec : finalAnswer[qos];
    this.#refillAt = Math.max(1, Math.floor(window * refillFraction));
    for (let slot = 0; slot < ring; slot++) {
      const at = slot * this.#slotBytes;
      publishPacket(topic, qos, slot + 1, bodyBytes).copy(this.#arena, at);
      writeBodyTemplate(this.#arena, at + this.#slotBytes - bodyBytes, bodyBytes, stream, slot);
    }
    connection.reader = (bytes, at, end) => this.#read(bytes, at, end);
  }

  get qos(): Qos {
    return this.#plan.qos;
  }

  start(): void {
    this.#stopped = false;
    this.refill();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Nothing more will be sent, and what was sent is acknowledged, or with QoS 0 on its way. */
  get settled(): boolean {
    if (!this.#stopped) return false;
    return this.qos === 0 ? this.#connection.socket.writableLength === 0 : this.acknowledged === this.sent;
  }

  /** With QoS 0 the allowance alone says how much there may be on its way, and is the ring: what has passed is free. */
  refill(): void {
    this.#waits = false;
    if (this.#stopped) return;
    const { window, ring, qos } = this.#plan;
    const unacknowledged = this.sent - this.acknowledged;
    const free =
      qos === 0 ? Number.POSITIVE_INFINITY : Math.min(window - unacknowledged, ring - (this.sent - this.#floor));
    if (free < this.#refillAt) return;
    const granted = this.#allowance.take(free, this);
    this.#waits = granted < free;
    if (granted > 0) this.#send(granted);
  }

  #send(count: number): void {
    const { ring, bodyBytes, stream } = this.#plan;
    const slotBytes = this.#slotBytes;
    const [sec, nsec] = process.hrtime();
    while (count > 0) {
      const slot = this.sent % ring;
      const piece = Math.min(count, ring - slot);
      const at = slot * slotBytes;
      stampBodies(this.#arena, at + slotBytes - bodyBytes, slotBytes, piece, bodyBytes, stream, this.sent, sec, nsec);
      this.#due.fill(this.#firstDue, slot, slot + piece);
      this.sent += piece;
      count -= piece;
      this.#connection.socket.write(this.#arena.subarray(at, at + piece * slotBytes));
    }
  }

  #read(bytes: Buffer, at: number, end: number): number {
    while (end - at >= 2) {
      const type = (bytes[at] as number) >> 4;
      if (type === packetType.puback || type === packetType.pubrec || type === packetType.pubcomp) {
        if (end - at < 4) break;
        this.#answered(type, bytes[at + 2] as number, bytes[at + 3] as number);
        at += 4;
        continue;
      }
      const size = packetBytes(bytes, at, end);
      if (size === 0 || at + size > end) break;
      this.#connection.control(bytes, at, at + size);
      at += size;
    }
    this.#releases?.flush();
    if (!this.#waits) this.refill();
    return at;
  }

  #answered(type: number, idHigh: number, idLow: number): void {
    const due = this.#due;
    const slot = ((idHigh << 8) | idLow) - 1;
    if (due[slot] !== type) {
      this.onFailure(new Error(`a packet of type ${type} came for packet id ${slot + 1}, for which none was due`));
      return;
    }
    if (type === packetType.pubrec) {
      due[slot] = packetType.pubcomp;
      this.#releases?.add(packetType.pubrel, idHigh, idLow);
      return;
    }
    due[slot] = 0;
    this.acknowledged++;
    const ring = this.#plan.ring;
    while (this.#floor < this.sent && due[this.#floor % ring] === 0) this.#floor++;
  }
}
