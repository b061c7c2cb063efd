// Hot path: allocates per run of messages, never per message.
//
// The ring of pre-encoded publishes is also the send buffer. A slot is written again only after the broker confirmed the message
// that it carried before, hence after those bytes left this process: nothing is copied and nothing can be overwritten in flight.
import { stampBodies, writeBodyTemplate } from './body.ts';
import type { LoadConnection } from './connection.ts';
import { frameMethod, frameOverheadBytes, method, methods, octet, publishFrames } from './frame.ts';

/** What one publisher sends. */
export interface PublisherPlan {
  exchange: string;
  /** Message number `seq` takes the key at `seq % routingKeys.length`; all are of one length. */
  routingKeys: string[];
  stream: number;
  bodyBytes: number;
  /** The most messages that may be unconfirmed. */
  window: number;
  /** Slots in the ring: at least the window, and a multiple of the number of keys. */
  ring: number;
  /** Stops after so many messages; without it, when told to. */
  count?: number;
  /** So many messages are one transaction, and a commit confirms them: the window then. Without it, publisher confirms. */
  transaction?: number;
  /** Each message is delayed by the broker for so long. */
  delayMs?: number;
  /** Messages a second; without it, as fast as the window allows. */
  ratePerS?: number;
}

const commitFrame = method(1, methods.txCommit);

/** The least free part of the window worth a write: a broker that confirms singly shall not cost a system call a message. */
const refillFraction = 1 / 8;

export class Publisher {
  sent = 0;
  confirmed = 0;
  /** Called when nothing more will be sent and everything sent is confirmed. */
  onSettled: () => void = () => undefined;
  onFailure: (cause: Error) => void = () => undefined;
  readonly #connection: LoadConnection;
  readonly #plan: PublisherPlan;
  readonly #arena: Buffer;
  readonly #slotBytes: number;
  readonly #bodyAt: number;
  /** Confirmed out of order: 1 at the slot of a message above the floor. */
  readonly #early: Uint8Array;
  readonly #refillAt: number;
  #floor = 0;
  #stopped = true;

  static async open(connection: LoadConnection, plan: PublisherPlan): Promise<Publisher> {
    if (plan.transaction === undefined)
      await connection.call(method(1, methods.confirmSelect, octet(0)), methods.confirmSelectOk);
    else await connection.call(method(1, methods.txSelect), methods.txSelectOk);
    return new Publisher(connection, plan);
  }

  private constructor(connection: LoadConnection, plan: PublisherPlan) {
    const { exchange, routingKeys, ring, bodyBytes, window, transaction, delayMs } = plan;
    if (transaction !== undefined && window !== transaction) throw new RangeError('a transaction is the window');
    if (ring < window || ring % routingKeys.length !== 0) throw new RangeError('the ring does not fit the plan');
    this.#connection = connection;
    this.#plan = plan;
    this.#slotBytes = publishFrames(1, exchange, routingKeys[0] ?? '', bodyBytes, delayMs).length;
    this.#bodyAt = this.#slotBytes - 1 - bodyBytes;
    this.#arena = Buffer.allocUnsafeSlow(this.#slotBytes * ring);
    this.#early = new Uint8Array(ring);
    this.#refillAt = transaction ?? Math.max(1, Math.floor(window * refillFraction));
    for (let slot = 0; slot < ring; slot++) {
      const encoded = publishFrames(1, exchange, routingKeys[slot % routingKeys.length] ?? '', bodyBytes, delayMs);
      if (encoded.length !== this.#slotBytes) throw new RangeError('routing keys must be of one length');
      encoded.copy(this.#arena, slot * this.#slotBytes);
      writeBodyTemplate(this.#arena, slot * this.#slotBytes + this.#bodyAt, bodyBytes, plan.stream, slot);
    }
    connection.reader = (bytes, at, end) => this.#readConfirms(bytes, at, end);
  }

  start(): void {
    this.#stopped = false;
    if (this.#plan.ratePerS === undefined) this.#refill();
  }

  stop(): void {
    this.#stopped = true;
    this.#checkSettled();
  }

  get settled(): boolean {
    return this.#stopped && this.confirmed === this.sent;
  }

  /** Sends so many at once, or as many as the window and the ring have room for; returns how many were sent. */
  send(wanted: number): number {
    const { window, ring, count } = this.#plan;
    let run = Math.min(wanted, window - (this.sent - this.confirmed), ring - (this.sent - this.#floor));
    if (count !== undefined) run = Math.min(run, count - this.sent);
    if (run <= 0 || this.#stopped) return 0;
    const [sec, nsec] = process.hrtime();
    let left = run;
    while (left > 0) {
      const slot = this.sent % ring;
      const piece = Math.min(left, ring - slot);
      this.#stamp(slot, piece, sec, nsec);
      this.#connection.socket.write(this.#arena.subarray(slot * this.#slotBytes, (slot + piece) * this.#slotBytes));
      left -= piece;
    }
    if (this.#plan.transaction !== undefined) this.#connection.socket.write(commitFrame);
    if (this.sent === count) this.#stopped = true;
    return run;
  }

  #stamp(slot: number, count: number, sec: number, nsec: number): void {
    const at = slot * this.#slotBytes + this.#bodyAt;
    const { bodyBytes, stream } = this.#plan;
    stampBodies(this.#arena, at, this.#slotBytes, count, bodyBytes, stream, this.sent, sec, nsec);
    this.sent += count;
  }

  #readConfirms(bytes: Buffer, at: number, end: number): number {
    while (end - at >= frameOverheadBytes) {
      const size = uint32(bytes, at + 3);
      const next = at + frameOverheadBytes + size;
      if (next > end) break;
      if (bytes[at] === frameMethod) {
        const id = uint32(bytes, at + 7);
        if (id === methods.basicAck) {
          const tag = uint32(bytes, at + 11) * 0x1_0000_0000 + uint32(bytes, at + 15);
          this.#confirm(tag, (bytes[at + 19] ?? 0) !== 0);
        } else if (id === methods.txCommitOk) {
          this.#confirm(this.sent, true);
        } else if (id === methods.basicNack || id === methods.basicReturn) {
          this.onFailure(new Error(`the broker ${id === methods.basicNack ? 'refused' : 'returned'} a message`));
        } else {
          this.#connection.control(bytes, at, next);
        }
      }
      at = next;
    }
    if (this.#plan.ratePerS === undefined && !this.#stopped) this.#refill();
    this.#checkSettled();
    return at;
  }

  #confirm(tag: number, multiple: boolean): void {
    const ring = this.#plan.ring;
    if (tag > this.sent || tag <= 0) {
      this.onFailure(new Error(`the broker confirmed message ${tag} of ${this.sent}`));
      return;
    }
    if (!multiple && tag !== this.#floor + 1) {
      const slot = (tag - 1) % ring;
      if (tag <= this.#floor || this.#early[slot] === 1) {
        this.onFailure(new Error(`the broker confirmed message ${tag} twice`));
        return;
      }
      this.#early[slot] = 1;
      this.confirmed++;
      return;
    }
    let slot = this.#floor % ring;
    while (this.#floor < tag || (this.#floor < this.sent && this.#early[slot] === 1)) {
      if (this.#early[slot] === 1) this.#early[slot] = 0;
      else this.confirmed++;
      this.#floor++;
      if (++slot === ring) slot = 0;
    }
  }

  #refill(): void {
    const free = this.#plan.window - (this.sent - this.confirmed);
    if (free >= this.#refillAt) this.send(free);
  }

  #checkSettled(): void {
    if (this.settled) this.onSettled();
  }
}

function uint32(bytes: Buffer, at: number): number {
  return (
    (bytes[at] as number) * 0x1000000 +
    (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
  );
}
