/**
 * The packet ids of QoS 2 that a session must not forget: those it took a PUBLISH with and has no PUBREL of, and those it sent a PUBREL
 * for and has no PUBCOMP of [MQTT-4.3.3-8, MQTT-4.3.3-12]. Stored as one value of the session:
 *
 *   version u8 = 1   received:u16 count, that many u16   released:u16 count, that many u16
 */
const version = 1;

export class PacketState {
  readonly received = new Set<number>();
  readonly released = new Set<number>();
  /** It differs from what was last stored. */
  changed = false;

  get isEmpty(): boolean {
    return this.received.size === 0 && this.released.size === 0;
  }

  receive(id: number): void {
    this.received.add(id);
    this.changed = true;
  }

  /** False: no PUBLISH with this id is waiting for its PUBREL. */
  forget(id: number): boolean {
    const known = this.received.delete(id);
    if (known) this.changed = true;
    return known;
  }

  release(id: number): void {
    this.released.add(id);
    this.changed = true;
  }

  complete(id: number): void {
    if (this.released.delete(id)) this.changed = true;
  }

  encode(): Buffer {
    const bytes = Buffer.allocUnsafe(5 + 2 * (this.received.size + this.released.size));
    bytes[0] = version;
    let at = 1;
    for (const ids of [this.received, this.released]) {
      at = bytes.writeUInt16BE(ids.size, at);
      for (const id of ids) at = bytes.writeUInt16BE(id, at);
    }
    return bytes;
  }

  /** Of what `encode` made; undefined: nothing was stored. */
  static decode(value: Uint8Array | undefined): PacketState {
    const state = new PacketState();
    if (value === undefined) return state;
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    if (bytes[0] !== version) throw new Error(`packet ids of version ${bytes[0] ?? '?'}, known is ${version}`);
    let at = 1;
    for (const ids of [state.received, state.released]) {
      const count = bytes.readUInt16BE(at);
      at += 2;
      for (let i = 0; i < count; i++, at += 2) ids.add(bytes.readUInt16BE(at));
    }
    return state;
  }
}
