/**
 * As much of MQTT 3.1.1 as a sensor speaks: CONNECT with a session that outlives its connection, PUBLISH with QoS 1, DISCONNECT. What a broker
 * answers to these are packets of four bytes.
 */
import { connect, type Socket } from 'node:net';

const type = { connack: 0x20, puback: 0x40 } as const;
const answerBytes = 4;

export interface MqttEvents {
  /** The broker lets it in. `resumed`: it still had the session. */
  connected(resumed: boolean): void;
  acknowledged(packetId: number): void;
  /** Once, whatever it ended by; what was not acknowledged may be stored or not. */
  ended(reason: string): void;
}

export class MqttConnection {
  readonly #socket: Socket;
  readonly #events: MqttEvents;
  /** Bytes of an answer that was cut. */
  #rest = Buffer.alloc(0);
  #reason = 'the broker closed the connection';

  constructor(port: number, client: string, events: MqttEvents) {
    this.#events = events;
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.#socket.write(connectPacket(client));
    this.#socket.on('data', (bytes) => this.#read(bytes));
    this.#socket.on('error', (error) => (this.#reason = error.message));
    this.#socket.on('close', () => events.ended(this.#reason));
  }

  /** Packets that `publishPacket` made. */
  send(packets: readonly Buffer[]): void {
    this.#socket.write(packets.length === 1 ? packets[0]! : Buffer.concat(packets));
  }

  disconnect(): void {
    this.#socket.end(Buffer.of(0xe0, 0));
  }

  #read(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    for (; at + answerBytes <= all.length; at += answerBytes) {
      if (!this.#answered(all[at]!, all[at + 1]!, all[at + 2]!, all[at + 3]!)) return;
    }
    this.#rest = Buffer.from(all.subarray(at));
  }

  #answered(header: number, length: number, high: number, low: number): boolean {
    if (length === 2 && header === type.puback) {
      this.#events.acknowledged(high * 256 + low);
      return true;
    }
    if (length === 2 && header === type.connack && low === 0) {
      this.#events.connected((high & 1) === 1);
      return true;
    }
    const what = header === type.connack ? `it refused the login with code ${low}` : `it sent a packet ${header}`;
    this.#socket.destroy(new Error(what));
    return false;
  }
}

/** Protocol level 4, session kept, no keep-alive, no login: 3.1.1 §3.1. */
function connectPacket(client: string): Buffer {
  const name = Buffer.from(client);
  const head = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0, 0, 0, name.length >> 8, name.length & 0xff]);
  return packet(0x10, [head, name]);
}

/** QoS 1. `again`: it was sent before, under this packet id (3.1.1 §3.3.1.1). */
export function publishPacket(topic: string, packetId: number, payload: Buffer, again: boolean): Buffer {
  const name = Buffer.from(topic);
  const length = Buffer.of(name.length >> 8, name.length & 0xff);
  return packet(again ? 0x3a : 0x32, [length, name, Buffer.of(packetId >> 8, packetId & 0xff), payload]);
}

function packet(header: number, parts: readonly Buffer[]): Buffer {
  const head = [header];
  let length = parts.reduce((sum, part) => sum + part.length, 0);
  do {
    const low = length & 0x7f;
    length >>= 7;
    head.push(length > 0 ? low | 0x80 : low);
  } while (length > 0);
  return Buffer.concat([Buffer.from(head), ...parts]);
}
