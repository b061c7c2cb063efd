/**
 * Hot path. The keys of one grouped queue. A key is had by whoever holds messages of it, and is free when these are settled or given
 * back. It is known only while it is had or messages of it are parked, so what this takes grows with what consumers hold, and with
 * what is passed over for that, never with the queue.
 */
import type { LocalConsumer } from './consumer.ts';
import type { LocalLease } from './lease.ts';
import type { Level } from './level.ts';
import { GroupOwner, Lane, LaneHeap, MessageGroup, Parked } from './message-group.ts';
import { ParkedList } from './parked-list.ts';
import type { LocalQueue } from './queue.ts';

export class QueueGroups {
  /** What anybody may be handed. */
  readonly free = new LaneHeap(null);
  /** Those who may be handed something that others may not. */
  readonly awaited = new Set<GroupOwner>();
  /** Messages that were passed over. */
  parked = 0;
  /** Of these, those whose next delivery is journalled. */
  announced = 0;
  readonly #queue: LocalQueue;
  readonly #groups = new Map<number, MessageGroup>();
  /** By the number of each message that is held. */
  readonly #held = new Map<number, MessageGroup>();
  readonly #leases = new Map<LocalLease, GroupOwner>();
  /** Keys of what is settled for a consumer and was not delivered yet (at most once), one a message, in its order; null: it has none. */
  readonly #promised = new Map<LocalConsumer, (MessageGroup | null)[]>();

  constructor(queue: LocalQueue) {
    this.#queue = queue;
  }

  get(key: number): MessageGroup | undefined {
    return this.#groups.get(key);
  }

  /** Keys that are known now. */
  get size(): number {
    return this.#groups.size;
  }

  ownerOf(consumer: LocalConsumer): GroupOwner {
    return consumer.owner ?? this.#newOwner(consumer);
  }

  // --- passing over ---

  park(level: Level, number: number, key: number): Parked {
    const group = this.#group(key);
    let lane = group.lane(level);
    if (lane === null) {
      lane = new Lane(group, level);
      group.lanes.push(lane);
    }
    const parked = new Parked(number, lane);
    lane.insert(parked);
    (level.parked ??= new ParkedList(this)).insert(parked);
    this.parked++;
    if (lane.first === parked) {
      if (lane.heap === null) this.#place(lane);
      else lane.heap.changed(lane);
    }
    return parked;
  }

  unpark(parked: Parked): void {
    const { lane } = parked;
    const { group, heap } = lane;
    const wasFirst = lane.first === parked;
    lane.remove(parked);
    lane.level.parked!.remove(parked);
    this.parked--;
    if (parked.announcedIn !== 0) this.announced--;
    if (lane.first === null) {
      if (heap !== null) this.#take(lane);
      group.lanes.splice(group.lanes.indexOf(lane), 1);
      this.#forgetUnused(group);
    } else if (wasFirst) heap?.changed(lane);
  }

  /** Its next delivery stands in this group of the journal. */
  announce(parked: Parked, sequence: number): void {
    parked.announcedIn = sequence;
    this.announced++;
  }

  // --- having ---

  /** The message is handed out: its key is had by `owner`. */
  took(key: number, owner: GroupOwner, number: number): void {
    const group = this.#have(key, owner);
    this.#held.set(number, group);
  }

  /** The message is settled for the consumer, who has its key, if that is not 0, until it is delivered. */
  promise(key: number, consumer: LocalConsumer): void {
    const group = key === 0 ? null : this.#have(key, this.ownerOf(consumer));
    const promised = this.#promised.get(consumer);
    if (promised === undefined) this.#promised.set(consumer, [group]);
    else promised.push(group);
  }

  /** What was promised was delivered, or its consumer is gone. */
  keepPromises(): void {
    for (const [consumer, groups] of this.#promised) {
      // What was settled first is delivered first.
      const delivered = groups.length - consumer.settled!.count;
      if (delivered === 0) continue;
      for (let at = 0; at < delivered; at++) {
        const group = groups[at]!;
        if (group !== null) this.#leave(group);
      }
      if (delivered === groups.length) {
        this.#promised.delete(consumer);
      } else {
        groups.copyWithin(0, delivered);
        groups.length -= delivered;
      }
    }
  }

  /** These, which were held, are settled. */
  settled(first: number, count: number): void {
    for (let number = first; number < first + count; number++) {
      const group = this.#held.get(number);
      if (group === undefined) continue;
      this.#held.delete(number);
      this.#leave(group);
    }
  }

  /** This one, which was held, came back; unless it is `spent` it is to be handed out before what is behind it. */
  gaveBack(number: number, spent: boolean): void {
    const group = this.#held.get(number);
    if (group === undefined) return;
    this.#held.delete(number);
    if (!spent && group.held > 1 && !group.draining) {
      group.draining = true;
      for (const lane of group.lanes) this.#place(lane);
    }
    this.#leave(group);
  }

  /** The queue is deleted. */
  clear(): void {
    this.#groups.clear();
    this.#held.clear();
    this.#leases.clear();
    this.#promised.clear();
    this.awaited.clear();
    this.free.lanes.length = 0;
    for (const level of this.#queue.levels) level.parked = null;
    this.parked = 0;
    this.announced = 0;
  }

  #have(key: number, owner: GroupOwner): MessageGroup {
    const group = this.#group(key);
    group.held++;
    owner.held++;
    if (group.owner === null) {
      group.owner = owner;
      if (owner.lease !== null) this.#leases.set(owner.lease, owner);
      for (const lane of group.lanes) this.#place(lane);
    }
    return group;
  }

  /** One less is held. */
  #leave(group: MessageGroup): void {
    const owner = group.owner!;
    if (--owner.held === 0 && owner.lease !== null && this.#leases.get(owner.lease) === owner)
      this.#leases.delete(owner.lease);
    if (--group.held > 0) return;
    group.owner = null;
    group.draining = false;
    if (group.lanes.length === 0) {
      this.#groups.delete(group.key);
      return;
    }
    for (const lane of group.lanes) this.#place(lane);
    this.#queue.host.dispatcher.touch(this.#queue);
  }

  #group(key: number): MessageGroup {
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = new MessageGroup(key);
      this.#groups.set(key, group);
    }
    return group;
  }

  #forgetUnused(group: MessageGroup): void {
    if (group.owner === null && group.lanes.length === 0) this.#groups.delete(group.key);
  }

  /** Puts the lane where those find it who may be handed its messages. */
  #place(lane: Lane): void {
    const { owner, draining } = lane.group;
    if (lane.heap !== null) this.#take(lane);
    if (owner === null) this.free.add(lane);
    else if (!draining) {
      owner.lanes.add(lane);
      this.awaited.add(owner);
    }
  }

  #take(lane: Lane): void {
    const heap = lane.heap!;
    heap.remove(lane);
    if (heap.owner !== null && heap.lanes.length === 0) this.awaited.delete(heap.owner);
  }

  #newOwner(consumer: LocalConsumer): GroupOwner {
    const lease = this.#queue.consumers.isTaker(consumer) ? consumer.lease : null;
    const known = lease === null ? undefined : this.#leases.get(lease);
    const owner = known ?? new GroupOwner(lease === null ? consumer : null, lease);
    consumer.owner = owner;
    return owner;
  }
}
