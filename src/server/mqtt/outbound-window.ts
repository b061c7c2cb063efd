/**
 * Hot path: packet ids of what was sent to one client and is not acknowledged.
 *
 * The id of a message of the session's own mailbox follows from its number there, so a message that is sent again after a crash has the
 * id that it had [MQTT-4.4.0-1], and nobody has to remember it. What comes from a shared subscription's mailbox, and what would find its
 * id in use (32,767 messages later than one that is still not acknowledged), gets one of the other half: no two have the same. Such a message has
 * another id after a crash; only a client that acknowledges out of order, or never, brings that about [MQTT-4.6.0-2, MQTT-4.6.0-3].
 */
import type { Claim } from '../../broker/index.ts';

const derivedIds = 0x7fff;
const firstGiven = 0x8000;
const lastGiven = 0xffff;
/** So there is always one to give: what is left of connections before counts among them. */
export const mostInFlight = 0x3fff;

export class OutboundWindow {
  /** Packet id -> delivery tag, of messages with QoS 1 or 2 whose PUBACK or PUBREC has not come. */
  readonly #tags = new Map<number, number>();
  /** Those of QoS 2 whose PUBREC came and whose PUBCOMP has not; null: from before the connection. */
  readonly #released = new Map<number, Claim | null>();
  #given = lastGiven;
  #left = 0;

  get count(): number {
    return this.#tags.size + this.#released.size;
  }

  /** Of those, what no delivery of this connection stands for: from connections before. */
  get left(): number {
    return this.#left;
  }

  /** The id for the message with this number in the client's own mailbox; 0: one of any other. */
  add(number: number, tag: number): number {
    let id = number > 0 ? ((number - 1) % derivedIds) + 1 : this.#nextGiven();
    if (this.#tags.has(id) || this.#released.has(id)) id = this.#nextGiven();
    this.#tags.set(id, tag);
    return id;
  }

  /** The delivery tag of an id, which is free again; 0: it is not in use. */
  take(id: number): number {
    const tag = this.#tags.get(id);
    if (tag === undefined) return 0;
    this.#tags.delete(id);
    return tag;
  }

  isReleased(id: number): boolean {
    return this.#released.has(id);
  }

  release(id: number, claim: Claim | null): void {
    this.#released.set(id, claim);
    if (claim === null) this.#left++;
  }

  /** PUBCOMP came. False: that was not waited for. */
  complete(id: number): boolean {
    const claim = this.#released.get(id);
    if (claim === undefined) return false;
    this.#released.delete(id);
    if (claim === null) this.#left--;
    else claim.done();
    return true;
  }

  get releasedIds(): IterableIterator<number> {
    return this.#released.keys();
  }

  /** There are never as many in flight as there are ids to give (`mostInFlight`). */
  #nextGiven(): number {
    for (let tries = firstGiven; tries <= lastGiven; tries++) {
      this.#given = this.#given >= lastGiven ? firstGiven : this.#given + 1;
      if (!this.#tags.has(this.#given) && !this.#released.has(this.#given)) return this.#given;
    }
    throw new Error('every packet id is in use');
  }
}
