/**
 * The packet ids of QoS 2 that a session must not forget: those it took a PUBLISH with and has no PUBREL of, and those it sent a PUBREL
 * for and has no PUBCOMP of [MQTT-4.3.3-8, MQTT-4.3.3-12]. Stored as one value of the session:
 *
 *   version u8 = 1   received:ids   released:ids
 *   ids := count:u16, that many u16; or 0xffff, and a bit for each of 65,536: a client that never sends PUBREL makes no larger write
 */
import { bitmapBytes, PacketIds } from './packet-ids.ts';

const version = 1;
const isBitmap = 0xffff;
const mostListed = bitmapBytes / 2;

type Ids = Pick<ReadonlySet<number>, 'has' | 'size'> & Iterable<number>;

/** Of most sessions. */
const none: ReadonlySet<number> = new Set();

export class PacketState {
  #received: PacketIds | null = null;
  #released: Set<number> | null = null;
  /** It differs from what was last stored. */
  changed = false;

  /** It is the client who says how many. */
  get received(): Ids {
    return this.#received ?? none;
  }

  /** In the order in which their PUBRELs went out, which is that of sending them again [MQTT-4.4.0-1]; no more than the receive maximum. */
  get released(): Ids {
    return this.#released ?? none;
  }

  get isEmpty(): boolean {
    return this.received.size === 0 && this.released.size === 0;
  }

  receive(id: number): void {
    (this.#received ??= new PacketIds()).add(id);
    this.changed = true;
  }

  /** False: no PUBLISH with this id is waiting for its PUBREL. */
  forget(id: number): boolean {
    const known = this.#received?.delete(id) === true;
    if (known) this.changed = true;
    return known;
  }

  release(id: number): void {
    (this.#released ??= new Set()).add(id);
    this.changed = true;
  }

  complete(id: number): void {
    if (this.#released?.delete(id) === true) this.changed = true;
  }

  encode(): Buffer {
    const bytes = Buffer.alloc(1 + sizeOf(this.received) + sizeOf(this.released));
    bytes[0] = version;
    writeIds(this.released, bytes, writeIds(this.received, bytes, 1));
    return bytes;
  }

  /** Of what `encode` made; undefined: nothing was stored. */
  static decode(value: Uint8Array | undefined): PacketState {
    const state = new PacketState();
    if (value === undefined) return state;
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    if (bytes[0] !== version) throw new Error(`packet ids of version ${bytes[0] ?? '?'}, known is ${version}`);
    state.#received = new PacketIds();
    state.#released = new Set();
    readIds(state.#released, bytes, readIds(state.#received, bytes, 1));
    return state;
  }
}

function sizeOf({ size }: Ids): number {
  return 2 + (size > mostListed ? bitmapBytes : 2 * size);
}

/** Answers where it ends. */
function writeIds(ids: Ids, bytes: Buffer, at: number): number {
  if (ids.size > mostListed) {
    at = bytes.writeUInt16BE(isBitmap, at);
    for (const id of ids) bytes[at + (id >> 3)]! |= 1 << (id & 7);
    return at + bitmapBytes;
  }
  at = bytes.writeUInt16BE(ids.size, at);
  for (const id of ids) at = bytes.writeUInt16BE(id, at);
  return at;
}

function readIds(ids: PacketIds | Set<number>, bytes: Buffer, at: number): number {
  const count = bytes.readUInt16BE(at);
  at += 2;
  if (count === isBitmap) {
    for (let id = 0; id < 0x1_0000; id++) if ((bytes[at + (id >> 3)]! & (1 << (id & 7))) !== 0) ids.add(id);
    return at + bitmapBytes;
  }
  for (let i = 0; i < count; i++, at += 2) ids.add(bytes.readUInt16BE(at));
  return at;
}
