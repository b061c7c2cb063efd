// Hot path: asked once a run of messages.
//
// How far the publishers may be ahead of the slowest subscriber, all together: without a bound a broker that takes more than it
// delivers would be flooded, until it drops (QoS 0) or piles up (QoS 1 and 2) what the figures don't count.

/** Whoever sends more once there is room. */
export interface Waiting {
  refill(): void;
}

export class Allowance {
  readonly #limit: number;
  #sent = 0;
  #passed = 0;
  #waiting: Waiting[] = [];
  #sentAtLastLook = -1;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes room for so many messages, or for as many as there is. Who wants more than it gets is called when there is some. */
  take(wanted: number, who: Waiting): number {
    const given = Math.min(wanted, this.#limit - (this.#sent - this.#passed));
    this.#sent += given;
    if (given < wanted) this.#waiting.push(who);
    return given;
  }

  /** The slowest subscriber has got, or has missed, so many messages. */
  tell(passed: number): void {
    if (passed <= this.#passed) return;
    if (passed > this.#sent) throw new RangeError(`${passed} messages came of ${this.#sent}`);
    this.#passed = passed;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const who of waiting) who.refill();
  }

  /** Now and then, where messages may be lost: if nothing moved since the last look, the rest will not come. */
  giveUpLost(): void {
    if (this.#sent === this.#sentAtLastLook) this.tell(this.#sent);
    this.#sentAtLastLook = this.#sent;
  }
}
