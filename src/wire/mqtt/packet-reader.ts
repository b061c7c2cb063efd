import { malformed, protocolError } from './mqtt-error.ts';
import { isMqttText } from './utf8.ts';

/**
 * Reads the fields of one packet in their order; whatever a length says, nothing is made but from bytes that are there. For the rare
 * packets: PUBLISH and its acknowledgements have views.
 */
export class PacketReader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;
  /** The packet's name, for messages. */
  readonly packet: string;

  constructor(bytes: Uint8Array, start: number, end: number, packet: string) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    this.packet = packet;
  }

  get atEnd(): boolean {
    return this.at === this.end;
  }

  u8(): number {
    return this.bytes[this.#take(1)]!;
  }

  u16(): number {
    const at = this.#take(2);
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  u32(): number {
    return this.u16() * 0x1_0000 + this.u16();
  }

  variableInteger(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      if (shift > 21) throw malformed(`a variable byte integer of ${this.packet} takes more than four bytes`);
      const byte = this.u8();
      if (byte === 0 && shift > 0)
        throw malformed(`a variable byte integer of ${this.packet} takes more bytes than it needs`); // [MQTT-1.5.5-1]
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  /** A length of two bytes and UTF-8. */
  text(): string {
    const length = this.u16();
    const start = this.#take(length);
    if (!isMqttText(this.bytes, start, this.at))
      throw malformed(`a text of ${this.packet} is not UTF-8, or holds U+0000`);
    const { bytes } = this;
    // A server's reads are Buffers: no view is made of them.
    if (bytes instanceof Buffer) return bytes.toString('utf8', start, this.at);
    return Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('utf8');
  }

  /** The same, of which nothing is kept. */
  skipText(): void {
    const length = this.u16();
    const start = this.#take(length);
    if (!isMqttText(this.bytes, start, this.at))
      throw malformed(`a text of ${this.packet} is not UTF-8, or holds U+0000`);
  }

  /** A length of two bytes and as many bytes, copied: the packet's own are overwritten by the next read. */
  binary(): Buffer {
    const length = this.u16();
    const start = this.#take(length);
    return Buffer.from(this.bytes.subarray(start, this.at));
  }

  packetIdentifier(): number {
    const id = this.u16();
    if (id === 0) throw protocolError(`${this.packet} has packet identifier 0`); // [MQTT-2.2.1-3], 3.1.1 [MQTT-2.3.1-1]
    return id;
  }

  /** A reader of the next `length` bytes, behind which this one goes on. */
  part(length: number): PacketReader {
    const start = this.#take(length);
    return new PacketReader(this.bytes, start, this.at, this.packet);
  }

  finish(): void {
    if (this.at !== this.end) throw malformed(`${this.packet} has ${this.end - this.at} bytes too many`);
  }

  #take(length: number): number {
    const start = this.at;
    if (start + length > this.end) throw malformed(`${this.packet} ends before its fields do`);
    this.at = start + length;
    return start;
  }
}
