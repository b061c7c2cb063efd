/**
 * Hot path. Who has which key of a grouped queue, and which messages wait for it: looked at, and passed over. These wait in *lanes*, one
 * for each key and priority, and beside that in the order of their priority (`ParkedList`).
 */
import type { LocalConsumer } from './consumer.ts';
import type { LocalLease } from './lease.ts';
import type { Level } from './level.ts';

/** A message that was looked at and must wait. */
export class Parked {
  readonly number: number;
  readonly lane: Lane;
  /** Its next delivery stands in this group of the journal; 0: it needs not, or does not yet. */
  announcedIn = 0;
  /** Its neighbours in the lane. */
  before: Parked | null = null;
  behind: Parked | null = null;
  /** Its neighbours among all that are parked in the level. */
  lower: Parked | null = null;
  higher: Parked | null = null;

  constructor(number: number, lane: Lane) {
    this.number = number;
    this.lane = lane;
  }
}

/** What waits of one key in one level, in order. */
export class Lane {
  readonly group: MessageGroup;
  readonly level: Level;
  first: Parked | null = null;
  last: Parked | null = null;
  /** Where one was put last: what comes back comes in order, so that the next has its place right behind. */
  hint: Parked | null = null;
  /** Where it stands, if anybody may be handed its first now. */
  heap: LaneHeap | null = null;
  heapAt = 0;

  constructor(group: MessageGroup, level: Level) {
    this.group = group;
    this.level = level;
  }

  insert(parked: Parked): void {
    const { number } = parked;
    let before = this.last;
    if (before !== null && before.number > number) {
      before = this.hint !== null && this.hint.number < number ? this.hint : null;
      let next = before === null ? this.first : before.behind;
      while (next !== null && next.number < number) {
        before = next;
        next = next.behind;
      }
    }
    const behind = before === null ? this.first : before.behind;
    parked.before = before;
    parked.behind = behind;
    if (before === null) this.first = parked;
    else before.behind = parked;
    if (behind === null) this.last = parked;
    else behind.before = parked;
    this.hint = parked;
  }

  remove(parked: Parked): void {
    const { before, behind } = parked;
    if (before === null) this.first = behind;
    else before.behind = behind;
    if (behind === null) this.last = before;
    else behind.before = before;
    if (this.hint === parked) this.hint = before;
  }
}

/** One key, while somebody has it or a message of it is parked. */
export class MessageGroup {
  /** 0: of the messages without one, which nobody ever has. */
  readonly key: number;
  owner: GroupOwner | null = null;
  /** How many messages its owner holds. */
  held = 0;
  /** One was given back: nothing is handed out until none is held. */
  draining = false;
  /** One where the queue has no priorities. */
  readonly lanes: Lane[] = [];

  constructor(key: number) {
    this.key = key;
  }

  lane(level: Level): Lane | null {
    for (const lane of this.lanes) if (lane.level === level) return lane;
    return null;
  }
}

/** Who can have keys: a consumer, or a lease under which single messages are taken. */
export class GroupOwner {
  /** Null: a lease. */
  readonly consumer: LocalConsumer | null;
  readonly lease: LocalLease | null;
  /** Of its keys: what it may be handed. */
  readonly lanes: LaneHeap = new LaneHeap(this);
  /** How many messages it holds of keys. */
  held = 0;

  constructor(consumer: LocalConsumer | null, lease: LocalLease | null) {
    this.consumer = consumer;
    this.lease = lease;
  }
}

/** Lanes by priority, then by the number of their first message. */
export class LaneHeap {
  readonly lanes: Lane[] = [];
  /** Who alone may be handed them; null: anybody. */
  readonly owner: GroupOwner | null;

  constructor(owner: GroupOwner | null) {
    this.owner = owner;
  }

  get top(): Lane | null {
    return this.lanes.length === 0 ? null : this.lanes[0]!;
  }

  add(lane: Lane): void {
    lane.heap = this;
    lane.heapAt = this.lanes.length;
    this.lanes.push(lane);
    this.#up(lane);
  }

  remove(lane: Lane): void {
    const last = this.lanes.pop()!;
    lane.heap = null;
    if (last === lane) return;
    last.heapAt = lane.heapAt;
    this.lanes[last.heapAt] = last;
    this.#up(last);
    this.#down(last);
  }

  /** Its first message is another one. */
  changed(lane: Lane): void {
    this.#up(lane);
    this.#down(lane);
  }

  #up(lane: Lane): void {
    const { lanes } = this;
    let at = lane.heapAt;
    while (at > 0) {
      const parent = lanes[(at - 1) >> 1]!;
      if (!isBefore(lane, parent)) break;
      lanes[at] = parent;
      parent.heapAt = at;
      at = (at - 1) >> 1;
    }
    lanes[at] = lane;
    lane.heapAt = at;
  }

  #down(lane: Lane): void {
    const { lanes } = this;
    let at = lane.heapAt;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= lanes.length) break;
      if (child + 1 < lanes.length && isBefore(lanes[child + 1]!, lanes[child]!)) child++;
      const lower = lanes[child]!;
      if (!isBefore(lower, lane)) break;
      lanes[at] = lower;
      lower.heapAt = at;
      at = child;
    }
    lanes[at] = lane;
    lane.heapAt = at;
  }
}

/** Whether its first message goes before the other's; both have one. */
export function isBefore(lane: Lane, other: Lane): boolean {
  if (lane.level !== other.level) return lane.level.priority > other.level.priority;
  return lane.first!.number < other.first!.number;
}
