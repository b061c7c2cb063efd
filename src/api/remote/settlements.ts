/** Acknowledgements of one channel, gathered for a turn: those of a run of neighbours are one frame. */
import type { Channel } from 'rabbitmq-client';
import type { PostriderError } from '../errors.ts';
import { lostDelivery } from '../message-outcomes.ts';

interface Told {
  readonly resolve: () => void;
  readonly reject: (error: PostriderError) => void;
}

export class Settlements {
  readonly #channel: Channel;
  /** Everything below it is settled. */
  #oldest = 1;
  /** Settled above it. */
  readonly #settled = new Set<number>();
  #acks: number[] = [];
  #told: Told[] = [];
  #due = false;
  #held = false;
  /** Tags above it are of the channel's present consumer. */
  #before = 0;
  /** Deliveries of that consumer whose settlement was not sent. */
  #out = 0;
  #full: { readonly count: number; readonly reached: () => void } | null = null;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** Deliveries of the present consumer that the broker takes for unsettled. */
  get out(): number {
    return this.#out;
  }

  /** Another consumer of the channel comes; tags up to this one were of the one before. */
  begin(tag: number): void {
    this.#before = tag;
    this.#out = 0;
  }

  /** A delivery came. */
  received(): void {
    this.#out += 1;
    if (this.#full !== null && this.#out >= this.#full.count) this.#full.reached();
  }

  /** Sends no acknowledgement until `release`, so that as many come as the broker may send and no more. Resolves then, or after a while. */
  async hold(count: number, patienceMs: number): Promise<void> {
    this.#held = true;
    if (this.#out >= count) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((reached) => {
      this.#full = { count, reached };
      timer = setTimeout(reached, patienceMs);
    });
    clearTimeout(timer);
    this.#full = null;
  }

  /** Ends the wait of `hold`. */
  hurry(): void {
    this.#full?.reached();
  }

  release(): void {
    this.#held = false;
    this.flush();
  }

  ack(tag: number): void {
    this.#acks.push(tag);
    this.#settle(tag);
    if (this.#due) return;
    this.#due = true;
    // What the turn brings comes message by message, each with its own microtasks.
    setImmediate(() => this.flush());
  }

  /** Resolves once it is sent. */
  acked(tag: number): Promise<void> {
    this.ack(tag);
    return new Promise((resolve, reject) => this.#told.push({ resolve, reject }));
  }

  requeue(tag: number): void {
    if (!this.#channel.active) throw lostDelivery();
    this.#channel.basicNack({ deliveryTag: tag, multiple: false, requeue: true });
    if (tag > this.#before) this.#out -= 1;
    this.#settle(tag);
  }

  flush(): void {
    this.#due = false;
    if (this.#held && this.#channel.active) return;
    const told = this.#told;
    this.#told = [];
    if (!this.#channel.active) {
      this.#acks = [];
      const error = lostDelivery();
      for (const { reject } of told) reject(error);
      return;
    }
    const acks = this.#acks.sort((a, b) => a - b);
    this.#acks = [];
    for (const tag of acks) if (tag > this.#before) this.#out -= 1;
    // The last below which nothing is open stands for all before it.
    let run = acks.length;
    while (run > 0 && acks[run - 1]! >= this.#oldest) run -= 1;
    if (run > 0) this.#channel.basicAck({ deliveryTag: acks[run - 1]!, multiple: run > 1 });
    for (const tag of acks.slice(run)) this.#channel.basicAck({ deliveryTag: tag, multiple: false });
    for (const { resolve } of told) resolve();
  }

  #settle(tag: number): void {
    this.#settled.add(tag);
    while (this.#settled.delete(this.#oldest)) this.#oldest += 1;
  }
}
