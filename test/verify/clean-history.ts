/** Histories without a fault in them: a small model broker that keeps every promise, driven by a seed. */
import { MemoryRecorder } from '../../src/verify/recorder.ts';
import { messageId, type HistoryEvent } from '../../src/verify/history.ts';
import type { Guarantee } from '../../src/verify/verdict.ts';
import { Random } from './random.ts';

interface Copy {
  readonly id: string;
  readonly hash: string;
  readonly position: number;
  delivered: boolean;
}

interface Queue {
  readonly name: string;
  /** Whether the broker answers settlements. */
  readonly answers: boolean;
  ready: Copy[];
  held: Copy[];
  life: number;
  nextPosition: number;
}

interface Pending {
  readonly id: string;
  readonly hash: string;
  readonly route: readonly string[];
  readonly attempt: number;
}

const QUEUES = ['inventory', 'payment', 'shipping', 'audit'];
const DEAD = 'dead';

export function cleanHistory(seed: number, guarantee: Guarantee, steps = 500): HistoryEvent[] {
  const run = new CleanRun(seed, guarantee);
  for (let step = 0; step < steps; step++) run.step();
  return run.finish();
}

class CleanRun {
  readonly #random: Random;
  readonly #guarantee: Guarantee;
  readonly #record = new MemoryRecorder();
  readonly #queues: Queue[];
  readonly #sequences = [0, 0, 0];
  readonly #stored = new Set<string>();
  #again: Pending[] = [];
  #faults = 0;

  constructor(seed: number, guarantee: Guarantee) {
    this.#random = new Random(seed);
    this.#guarantee = guarantee;
    this.#queues = [...QUEUES, DEAD].map((name, index) => ({
      name,
      answers: guarantee === 'exactly-once' || index % 2 === 0,
      ready: [],
      held: [],
      life: 1,
      nextPosition: 0,
    }));
    for (const queue of this.#queues) this.#record.subscribe(queue.name, consumerOf(queue));
  }

  step(): void {
    const queue = this.#random.pick(this.#queues);
    const dice = this.#random.below(100);
    if (dice < 30) this.#publishNew();
    else if (dice < 35) this.#publishAgain();
    else if (dice < 65) this.#deliver(queue);
    else if (dice < 90) this.#settle(queue);
    else if (dice < 95) this.#expire(queue);
    else if (dice < 97) this.#loseConsumer(queue);
    else if (dice < 98) this.#crash();
    else if (dice < 99 && this.#random.chance(0.2)) this.#purge(queue);
  }

  /** Until every queue is empty. */
  finish(): HistoryEvent[] {
    while (this.#queues.some(({ ready, held }) => ready.length + held.length > 0)) {
      for (const queue of this.#queues) {
        this.#deliver(queue);
        this.#settle(queue);
      }
    }
    return this.#record.events;
  }

  #publishNew(): void {
    const producer = this.#random.below(this.#sequences.length);
    const sequence = (this.#sequences[producer] ?? 0) + 1;
    this.#sequences[producer] = sequence;
    const route = QUEUES.filter(() => this.#random.chance(0.5));
    if (route.length === 0) route.push(this.#random.pick(QUEUES));
    this.#send({
      id: messageId(`producer/${producer}`, 1, sequence),
      hash: `hash-${producer}-${sequence}`,
      route,
      attempt: 1,
    });
  }

  #publishAgain(): void {
    const pending = this.#again.shift();
    if (pending !== undefined) this.#send({ ...pending, attempt: pending.attempt + 1 });
  }

  #send(message: Pending): void {
    const { id, hash, route, attempt } = message;
    this.#record.publish(id, attempt, hash, route);
    const dice = this.#random.below(100);
    if (dice < 8) {
      this.#record.rejected(id, attempt);
      if (this.#guarantee !== 'at-most-once' && this.#random.chance(0.5)) this.#again.push(message);
    } else if (dice < 20) {
      if (this.#random.chance(0.5)) this.#store(message);
      if (this.#random.chance(0.5)) this.#record.unknown(id, attempt);
      if (this.#guarantee !== 'at-most-once' && this.#random.chance(0.7)) this.#again.push(message);
    } else {
      this.#store(message);
      this.#record.confirmed(id, attempt);
    }
  }

  #store({ id, hash, route }: Pending): void {
    if (this.#guarantee === 'exactly-once' && this.#stored.has(id)) return;
    this.#stored.add(id);
    for (const queue of this.#queues) if (route.includes(queue.name)) append(queue, id, hash);
  }

  #deliver(queue: Queue): void {
    const copy = queue.ready.shift();
    if (copy === undefined) return;
    this.#record.delivered(queue.name, consumerOf(queue), copy.id, copy.hash, copy.delivered);
    copy.delivered = true;
    if (this.#guarantee !== 'at-most-once') queue.held.push(copy);
  }

  #settle(queue: Queue): void {
    if (queue.held.length === 0) return;
    const [copy] = queue.held.splice(this.#random.below(queue.held.length), 1) as [Copy];
    const consumer = consumerOf(queue);
    const dice = this.#random.below(100);
    if (dice < 5) {
      this.#record.settle(queue.name, consumer, copy.id, 'requeue');
      comeBack(queue, [copy]);
    } else if (dice < 10 && queue.name !== DEAD) {
      this.#record.settle(queue.name, consumer, copy.id, 'drop');
      this.#record.removed(queue.name, copy.id, 'dead-letter', { to: [DEAD] });
      for (const dead of this.#queues) if (dead.name === DEAD) append(dead, copy.id, copy.hash);
    } else if (dice < 15 && queue.answers) {
      this.#record.settle(queue.name, consumer, copy.id);
      this.#record.settleUnknown(queue.name, consumer, copy.id);
      if (this.#random.chance(0.5)) this.#effect(queue, copy);
      else queue.held.push(copy);
      this.#loseConsumer(queue);
    } else {
      this.#record.settle(queue.name, consumer, copy.id);
      this.#effect(queue, copy);
      if (queue.answers) this.#record.settled(queue.name, consumer, copy.id);
    }
  }

  #effect(queue: Queue, copy: Copy): void {
    if (this.#guarantee === 'exactly-once') this.#record.effect(queue.name, copy.id, copy.hash);
  }

  #expire(queue: Queue): void {
    const copy = queue.ready.shift();
    if (copy !== undefined) this.#record.removed(queue.name, copy.id, 'expired');
  }

  #purge(queue: Queue): void {
    this.#record.emptied(queue.name);
    queue.ready = [];
    this.#record.emptied(queue.name);
  }

  #loseConsumer(queue: Queue): void {
    comeBack(queue, queue.held.splice(0));
    queue.life++;
    this.#record.subscribe(queue.name, consumerOf(queue));
  }

  /** At-most-once may lose what waits. Otherwise, what may have been delivered is flagged, and flagged too often. */
  #crash(): void {
    const name = `crash-${++this.#faults}`;
    this.#record.fault(name, 'SIGKILL broker');
    for (const queue of this.#queues) {
      this.#loseConsumer(queue);
      if (this.#guarantee === 'at-most-once') queue.ready = queue.ready.filter(() => this.#random.chance(0.5));
      else queue.ready.forEach((copy, index) => (copy.delivered ||= index < 2));
    }
    this.#record.faultProof(name, { kind: 'pid', before: 100 + this.#faults, after: 101 + this.#faults });
  }
}

function append(queue: Queue, id: string, hash: string): void {
  queue.ready.push({ id, hash, position: queue.nextPosition++, delivered: false });
}

function comeBack(queue: Queue, copies: Copy[]): void {
  queue.ready = [...queue.ready, ...copies].sort((a, b) => a.position - b.position);
}

function consumerOf(queue: Queue): string {
  return `${queue.name}#${queue.life}`;
}
