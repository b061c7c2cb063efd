/**
 * One sensor: a connection of its own, and readings that it keeps until the broker has acknowledged them. Of what had no answer when a
 * connection broke nobody knows whether it was stored: it is sent again under the same identity, as its next attempt.
 */
import { bodyHash } from '../../verify/body-hash.ts';
import type { FileRecorder } from '../../verify/file-recorder.ts';
import { messageId } from '../../verify/history.ts';
import { celsiusOf, clientOf, queue, topicOf, type Reading } from './field.ts';
import { MqttConnection, publishPacket, type MqttEvents } from './mqtt-connection.ts';

const route = [queue];

interface Kept {
  readonly id: string;
  readonly payload: Buffer;
  readonly hash: string;
  /** 0: not sent yet. */
  attempt: number;
  /** Sent over the present connection. */
  sent: boolean;
}

/** What becomes of all sensors' readings. */
export interface Tally {
  connected: number;
  resumed: number;
  sent: number;
  confirmed: number;
  unknown: number;
  open: number;
  waiting: number;
}

/** Who brings sensors in. */
export interface Gate {
  /** An attempt to connect has ended, well or not. */
  passed(): void;
  /** It is not connected any more, or never was. */
  lost(sensor: Sensor, reason: string): void;
}

export class Sensor implements MqttEvents {
  readonly #number: number;
  readonly #port: number;
  readonly #recorder: FileRecorder;
  readonly #tally: Tally;
  readonly #gate: Gate;
  /** By packet id, which is the reading's number: one sensor doesn't take 65,535. In the order of their numbers. */
  readonly #kept = new Map<number, Kept>();
  #taken = 0;
  #connection: MqttConnection | null = null;
  #isConnected = false;
  #packets: Buffer[] = [];

  constructor(number: number, port: number, recorder: FileRecorder, tally: Tally, gate: Gate) {
    this.#number = number;
    this.#port = port;
    this.#recorder = recorder;
    this.#tally = tally;
    this.#gate = gate;
  }

  connect(): void {
    this.#connection = new MqttConnection(this.#port, clientOf(this.#number), this);
  }

  /** Takes readings. Those that can be sent are recorded; `flush` sends them, once the records are written. */
  take(count: number): void {
    for (let taken = 0; taken < count; taken++) {
      const number = ++this.#taken;
      const id = messageId(clientOf(this.#number), 1, number);
      const reading: Reading = { id, sensor: this.#number, celsius: celsiusOf(this.#number, number) };
      const payload = Buffer.from(JSON.stringify(reading));
      const kept = { id, payload, hash: bodyHash(payload), attempt: 0, sent: false };
      this.#kept.set(number, kept);
      this.#tally.waiting += 1;
      if (this.#isConnected) this.#attempt(number, kept);
    }
  }

  flush(): void {
    if (this.#packets.length === 0) return;
    this.#connection?.send(this.#packets);
    this.#packets = [];
  }

  disconnect(): void {
    this.#connection?.disconnect();
  }

  connected(resumed: boolean): void {
    this.#isConnected = true;
    this.#gate.passed();
    this.#tally.connected += 1;
    if (resumed) this.#tally.resumed += 1;
    for (const [number, kept] of this.#kept) this.#attempt(number, kept);
    if (this.#packets.length > 0) this.#recorder.flush();
    this.flush();
  }

  acknowledged(packetId: number): void {
    const kept = this.#kept.get(packetId);
    // Of an attempt over an earlier connection; this one's is still to come.
    if (kept?.sent !== true) return;
    this.#kept.delete(packetId);
    this.#tally.confirmed += 1;
    this.#tally.open -= 1;
    this.#recorder.confirmed(kept.id, kept.attempt);
  }

  ended(reason: string): void {
    if (this.#isConnected) this.#tally.connected -= 1;
    else this.#gate.passed();
    this.#isConnected = false;
    this.#connection = null;
    this.#packets = [];
    for (const kept of this.#kept.values()) {
      if (!kept.sent) continue;
      kept.sent = false;
      this.#tally.open -= 1;
      this.#tally.unknown += 1;
      this.#recorder.unknown(kept.id, kept.attempt);
    }
    this.#gate.lost(this, reason);
  }

  #attempt(number: number, kept: Kept): void {
    if (kept.attempt === 0) {
      this.#tally.waiting -= 1;
      this.#tally.sent += 1;
    }
    kept.attempt += 1;
    kept.sent = true;
    this.#tally.open += 1;
    this.#recorder.publish(kept.id, kept.attempt, kept.hash, route);
    this.#packets.push(publishPacket(topicOf(this.#number), number, kept.payload, kept.attempt > 1));
  }
}
