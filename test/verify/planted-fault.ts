/** Plants broken promises in a clean history: each planter breaks one rule as often as it says, and no other. */
import type { DeliverEvent, HistoryEvent } from '../../src/verify/history.ts';
import type { Guarantee, Rule } from '../../src/verify/verdict.ts';
import type { Random } from './random.ts';

/** A message in one queue that it was routed to. */
interface Spot {
  readonly id: string;
  readonly queue: string;
}

export interface Planter {
  readonly name: string;
  readonly rule: Rule;
  readonly guarantees: readonly Guarantee[];
  /** Plants up to `count` faults, none in a message that already has one, and returns how many. */
  plant(garden: Garden, count: number): number;
}

type Facts = ReturnType<typeof factsOf>;

export class Garden {
  events: HistoryEvent[];
  readonly random: Random;
  readonly #taken = new Set<string>();
  /** Facts of the clean history; planters leave each other's messages alone. */
  readonly #facts: Facts;
  #lateConsumers = 0;

  constructor(events: readonly HistoryEvent[], random: Random) {
    this.events = [...events];
    this.random = random;
    this.#facts = factsOf(events);
  }

  get facts(): Facts {
    return this.#facts;
  }

  /** Up to `count` spots of different untouched messages. */
  take(count: number, fits: (spot: Spot) => boolean): Spot[] {
    const taken: Spot[] = [];
    for (const spot of this.random.shuffled(this.#facts.spots)) {
      if (taken.length === count) break;
      if (this.#taken.has(spot.id) || !fits(spot)) continue;
      this.#taken.add(spot.id);
      taken.push(spot);
    }
    return taken;
  }

  isTaken(id: string): boolean {
    return this.#taken.has(id);
  }

  touch(id: string): void {
    this.#taken.add(id);
  }

  remove(gone: (event: HistoryEvent) => boolean): void {
    this.events = this.events.filter((event) => !gone(event));
  }

  replace(old: HistoryEvent, by: HistoryEvent): void {
    this.events[this.events.indexOf(old)] = by;
  }

  add(event: HistoryEvent): void {
    this.events.push(event);
  }

  /** Delivers once more at the very end, to a consumer that is new there, and settles, so that nothing stays open. */
  deliverLate({ id, queue }: Spot, redelivered: boolean, hash = this.#facts.hashes.get(id) ?? 'made up'): void {
    const consumer = `late-${++this.#lateConsumers}`;
    const at = this.events.length;
    this.add({ type: 'subscribe', at, queue, consumer });
    this.add({ type: 'deliver', at, queue, consumer, id, hash, redelivered });
    this.add({ type: 'settle', at, queue, consumer, id, how: 'ack' });
  }

  deliveries({ id, queue }: Spot): DeliverEvent[] {
    return this.events.filter(
      (event) => event.type === 'deliver' && event.id === id && event.queue === queue,
    ) as DeliverEvent[];
  }
}

function factsOf(events: readonly HistoryEvent[]) {
  const hashes = new Map<string, string>();
  const routes = new Map<string, readonly string[]>();
  const attempts = new Map<string, number>();
  const publishedAt = new Map<string, number>();
  const outcomes = new Map<string, Set<string>>();
  const removed = new Set<string>();
  const settledOk = new Set<string>();
  const lastEmptied = new Map<string, number>();
  const spots: Spot[] = [];
  events.forEach((event, index) => {
    if (event.type === 'publish') {
      if (!routes.has(event.id)) {
        publishedAt.set(event.id, index);
        outcomes.set(event.id, new Set());
        for (const queue of event.route) spots.push({ id: event.id, queue });
      }
      hashes.set(event.id, event.hash);
      routes.set(event.id, event.route);
      attempts.set(event.id, (attempts.get(event.id) ?? 0) + 1);
    } else if (event.type === 'publish-ok' || event.type === 'publish-rejected') {
      outcomes.get(event.id)?.add(event.type);
    } else if (event.type === 'removed') {
      if (event.id === undefined) lastEmptied.set(event.queue, index);
      else removed.add(event.id);
    } else if (event.type === 'settle-ok') settledOk.add(`${event.queue} ${event.id}`);
  });
  return {
    spots,
    hashes,
    routes,
    publishedAt,
    isConfirmed: (id: string) => outcomes.get(id)?.has('publish-ok') === true,
    isRejected: (id: string) => attempts.get(id) === 1 && outcomes.get(id)?.has('publish-rejected') === true,
    isSingle: (id: string) => attempts.get(id) === 1,
    isRemoved: ({ id, queue }: Spot) => removed.has(id) || (lastEmptied.get(queue) ?? -1) > (publishedAt.get(id) ?? 0),
    isSettledOk: ({ id, queue }: Spot) => settledOk.has(`${queue} ${id}`),
  };
}

function plantAt(garden: Garden, count: number, fits: (spot: Spot) => boolean, plant: (spot: Spot) => void): number {
  const spots = garden.take(count, fits);
  for (const spot of spots) plant(spot);
  return spots.length;
}

function concerns({ id, queue }: Spot): (event: HistoryEvent) => boolean {
  return (event) => 'queue' in event && event.queue === queue && 'id' in event && event.id === id;
}

const ALL: readonly Guarantee[] = ['at-most-once', 'at-least-once', 'exactly-once'];

export const PLANTERS: readonly Planter[] = [
  {
    name: 'a confirmed message that never comes',
    rule: 'lost',
    guarantees: ['at-least-once'],
    plant: (garden, count) =>
      plantAt(
        garden,
        count,
        (spot) => garden.facts.isConfirmed(spot.id) && !garden.facts.isRemoved(spot),
        (spot) => {
          garden.remove(concerns(spot));
        },
      ),
  },
  {
    name: 'a delivered message that is neither settled nor delivered again',
    rule: 'lost',
    guarantees: ['at-least-once'],
    plant: (garden, count) =>
      plantAt(
        garden,
        count,
        (spot) => garden.facts.isConfirmed(spot.id) && garden.facts.isSingle(spot.id) && !garden.facts.isRemoved(spot),
        (spot) => {
          const here = concerns(spot);
          garden.remove((event) => event.type.startsWith('settle') && here(event));
        },
      ),
  },
  {
    name: 'a second delivery',
    rule: 'duplicated',
    guarantees: ['at-most-once'],
    plant: (garden, count) =>
      plantAt(
        garden,
        count,
        (spot) => garden.deliveries(spot).length > 0,
        (spot) => {
          garden.deliverLate(spot, garden.random.chance(0.5));
        },
      ),
  },
  {
    name: 'a rejected message that comes',
    rule: 'rejectedDelivered',
    guarantees: ['at-most-once'],
    plant: (garden, count) =>
      plantAt(
        garden,
        count,
        (spot) => garden.facts.isRejected(spot.id),
        (spot) => {
          garden.deliverLate(spot, false);
        },
      ),
  },
  {
    name: 'a message that nobody published',
    rule: 'phantom',
    guarantees: ALL,
    plant: (garden, count) => {
      for (let ghost = 1; ghost <= count; ghost++)
        garden.deliverLate({ id: `ghost/1/${ghost}`, queue: 'payment' }, false);
      return count;
    },
  },
  {
    name: 'a message in a queue that it was not routed to',
    rule: 'phantom',
    guarantees: ALL,
    plant: (garden, count) =>
      plantAt(
        garden,
        count,
        (spot) => !garden.facts.isRemoved(spot),
        ({ id }) => {
          garden.deliverLate({ id, queue: 'nowhere' }, false);
        },
      ),
  },
  {
    name: 'a body with other bytes',
    rule: 'corrupted',
    guarantees: ALL,
    plant: (garden, count) =>
      plantAt(
        garden,
        count,
        (spot) => garden.deliveries(spot).length > 0,
        (spot) => {
          const delivery = garden.random.pick(garden.deliveries(spot));
          garden.replace(delivery, { ...delivery, hash: `${delivery.hash}-flipped` });
        },
      ),
  },
  {
    name: 'neighbours in the wrong order',
    rule: 'reordered',
    guarantees: ALL,
    plant: (garden, count) => {
      const pairs = garden.random.shuffled(neighbours(garden));
      let planted = 0;
      for (const [first, second] of pairs) {
        if (planted === count) break;
        if (garden.isTaken(first.id) || garden.isTaken(second.id)) continue;
        garden.touch(first.id);
        garden.touch(second.id);
        garden.replace(first, { ...first, id: second.id, hash: second.hash });
        garden.replace(second, { ...second, id: first.id, hash: first.hash });
        planted++;
      }
      return planted;
    },
  },
  {
    name: 'a repeat without its flag',
    rule: 'unflaggedRepeat',
    guarantees: ['at-least-once', 'exactly-once'],
    plant: (garden, count) =>
      plantAt(
        garden,
        count,
        (spot) =>
          garden.facts.isSingle(spot.id) &&
          !garden.facts.isRemoved(spot) &&
          garden.deliveries(spot).length > 1 &&
          garden.deliveries(spot)[0]?.redelivered === false,
        (spot) => {
          const repeat = garden.random.pick(garden.deliveries(spot).slice(1));
          garden.replace(repeat, { ...repeat, redelivered: false });
        },
      ),
  },
  {
    name: 'a durably settled message that comes back',
    rule: 'resurrected',
    guarantees: ['at-least-once', 'exactly-once'],
    plant: (garden, count) =>
      plantAt(
        garden,
        count,
        (spot) => garden.facts.isSingle(spot.id) && garden.facts.isSettledOk(spot) && !garden.facts.isRemoved(spot),
        (spot) => {
          garden.deliverLate(spot, true);
        },
      ),
  },
  {
    name: 'an effect twice',
    rule: 'effectRepeated',
    guarantees: ['exactly-once'],
    plant: (garden, count) =>
      plantAt(
        garden,
        count,
        (spot) => garden.events.some((event) => event.type === 'effect' && concerns(spot)(event)),
        ({ id, queue }) => {
          garden.add({ type: 'effect', at: garden.events.length, id, queue });
        },
      ),
  },
  {
    name: 'a confirmed message without its effect',
    rule: 'effectMissing',
    guarantees: ['exactly-once'],
    plant: (garden, count) =>
      plantAt(
        garden,
        count,
        (spot) => garden.facts.isConfirmed(spot.id) && !garden.facts.isRemoved(spot),
        (spot) => {
          garden.remove((event) => event.type === 'effect' && concerns(spot)(event));
        },
      ),
  },
  {
    name: 'an effect of a rejected message',
    rule: 'effectOfRejected',
    guarantees: ['exactly-once'],
    plant: (garden, count) =>
      plantAt(
        garden,
        count,
        (spot) => garden.facts.isRejected(spot.id),
        ({ id, queue }) => {
          garden.add({ type: 'effect', at: garden.events.length, id, queue });
        },
      ),
  },
];

/**
 * Pairs of deliveries that follow each other, of one producer to one consumer, both the only delivery of a message
 * published once, with nothing else said of either in between.
 */
function neighbours(garden: Garden): [DeliverEvent, DeliverEvent][] {
  const { facts } = garden;
  const pairs: [DeliverEvent, DeliverEvent][] = [];
  const last = new Map<string, { delivery: DeliverEvent; index: number }>();
  garden.events.forEach((event, index) => {
    if (event.type !== 'deliver' || !facts.publishedAt.has(event.id)) return;
    const stream = `${event.queue} ${event.consumer} ${event.id.slice(0, event.id.lastIndexOf('/'))}`;
    const before = last.get(stream);
    last.set(stream, { delivery: event, index });
    if (before === undefined) return;
    const both = [before.delivery, event];
    if (!both.every(({ id, queue }) => facts.isSingle(id) && garden.deliveries({ id, queue }).length === 1)) return;
    if (both.some(({ redelivered, id, queue }) => redelivered || facts.isRemoved({ id, queue }))) return;
    const between = garden.events.slice(before.index + 1, index);
    if (between.some((other) => 'id' in other && both.some(({ id }) => id === other.id))) return;
    if ((facts.publishedAt.get(event.id) ?? 0) > before.index) return;
    pairs.push([before.delivery, event]);
  });
  return pairs;
}
