/**
 * Hot path (the plain batch). A plain batch writes its items as they come. An atomic one keeps them until `commit`, judges all of
 * them, and writes them into one group or not at all.
 */
import type {
  Batch,
  CommitReceiver,
  EngineQueue,
  ItemOutcome,
  Lease,
  MessageView,
  RefusalReason,
  Settlement,
  Targets,
} from '../engine.ts';
import { MAX_ATOMIC_BYTES, MAX_BODY_BYTES, MAX_ENVELOPE_BYTES, MAX_PROPERTIES_BYTES } from '../limits.ts';
import type { HasLeft } from './identities.ts';
import type { EarlierIds } from './earlier-ids.ts';
import type { LocalLease } from './lease.ts';
import type { LocalQueue } from './queue.ts';
import { LocalTargets } from './targets.ts';
import type { BatchHost } from './batch-host.ts';

/** Room for what is noted of most identities; a longer one makes its group grow. */
const IDENTITY_BYTES = 512;
/** What one read of a socket may bring, at most, that a plain batch wants together. */
const TOGETHER_BYTES = 256 * 1024;

export class PlainBatch implements Batch {
  readonly #host: BatchHost;
  #items = 0;
  #outcomes: ItemOutcome[] | null = null;
  #durable = false;
  /** Something durable is settled. */
  #settles = false;
  #tellsWaiting = true;
  #waitsForSettled = true;
  #isTogether = false;

  constructor(host: BatchHost) {
    this.#host = host;
  }

  /** What the batch before left, if it was given up instead of committed, is forgotten. */
  begin(tellsWaiting: boolean, waitsForSettled: boolean): this {
    this.#tellsWaiting = tellsWaiting;
    this.#waitsForSettled = waitsForSettled;
    this.#items = 0;
    this.#outcomes = null;
    this.#durable = false;
    this.#settles = false;
    if (this.#isTogether) this.#host.journal.atomic = false;
    this.#isTogether = false;
    return this;
  }

  /** The open group takes what comes, however much it is. It has room for what is usual: a group that every batch enlarges would never end. */
  together(): void {
    if (this.#isTogether) return;
    this.#isTogether = true;
    const { journal } = this.#host;
    journal.roomTogether(Math.min(TOGETHER_BYTES, journal.window.blockBytes / 4));
    journal.atomic = true;
  }

  append(targets: Targets, message: MessageView): void {
    const item = this.#items++;
    const local = targets as LocalTargets;
    if (local.version !== this.#host.topology.queueVersion) local.check(this.#host.topology.queueVersion);
    if (
      local.plain &&
      message.identity === null &&
      message.dueAt === 0 &&
      !this.#host.journal.full &&
      message.bodyEnd - message.bodyStart <= MAX_BODY_BYTES &&
      message.propertiesEnd - message.propertiesStart <= MAX_PROPERTIES_BYTES
    ) {
      this.#host.journal.append(local, message);
      if (local.durable) this.#durable = true;
      return;
    }
    this.#appendJudged(item, local, unlessDue(this.#host, message));
  }

  #appendJudged(item: number, given: LocalTargets, message: MessageView): void {
    const targets = takersOf(this.#host, given, message, true);
    if (targets === null) {
      this.#tell({ item, outcome: 'duplicate', reason: null });
      return;
    }
    const refusal = isTooLarge(targets, message)
      ? refuse('too-large')
      : judgeAppend(this.#host, targets, message, 0, 0);
    if (refusal !== null) {
      this.#tell({ item, ...refusal });
      return;
    }
    applyAppend(this.#host, targets, message);
    if (message.dueAt !== 0 && this.#tellsWaiting) this.#tell(waiting(item, targets));
    if (targets.durable || message.identity !== null) this.#durable = true;
  }

  settle(lease: Lease, queue: EngineQueue, first: number, count: number, settlement: Settlement): void {
    const item = this.#items++;
    const local = queue as LocalQueue;
    if (lease.lost || local.deleted || !local.holds(lease as LocalLease, first, count)) {
      // Of a stream there is nothing to settle.
      if (local.stream === null) this.#tell({ item, outcome: 'stale', reason: null });
      return;
    }
    this.#host.journal.endRun();
    local.settle(first, count, settlement);
    if (local.durable && settlement !== 'requeue') this.#settles = true;
  }

  put(key: string, value: Uint8Array | null, expectedRevision?: number): void {
    const item = this.#items++;
    const { keyed } = this.#host;
    if (bytesOfPut(key, value) > MAX_BODY_BYTES) {
      this.#tell({ item, ...refuse('too-large') });
      return;
    }
    if (expectedRevision !== undefined && keyed.revisionOf(key) !== expectedRevision) {
      this.#tell({ item, outcome: 'conflict', reason: null });
      return;
    }
    const revision = keyed.put(key, value);
    if (expectedRevision !== undefined) this.#tell({ item, outcome: 'written', reason: null, revision });
    this.#durable = true;
  }

  commit<T>(receiver: CommitReceiver<T>, token: T): void {
    const outcomes = this.#outcomes;
    const durable = this.#durable || (this.#settles && this.#waitsForSettled);
    if (this.#settles && !durable) this.#host.journal.scheduleLazily();
    this.begin(true, true);
    this.#host.committed(receiver, token, outcomes, durable);
  }

  #tell(outcome: ItemOutcome): void {
    (this.#outcomes ??= []).push(outcome);
  }
}

type AtomicItem =
  | { readonly kind: 'append'; readonly targets: LocalTargets; readonly message: MessageView }
  | {
      readonly kind: 'settle';
      readonly lease: LocalLease;
      readonly queue: LocalQueue;
      readonly first: number;
      readonly count: number;
      readonly settlement: Settlement;
    }
  | {
      readonly kind: 'put';
      readonly key: string;
      readonly value: Uint8Array | null;
      readonly expectedRevision: number | undefined;
    }
  | { readonly kind: 'too-large' };

export class AtomicBatch implements Batch {
  readonly #host: BatchHost;
  readonly #items: AtomicItem[] = [];
  /** Of bodies, properties and keyed values. */
  #taken = 0;

  constructor(host: BatchHost) {
    this.#host = host;
  }

  together(): void {
    // It is.
  }

  append(targets: Targets, view: MessageView, isKept = false): void {
    const message = unlessDue(this.#host, view);
    const local = targets as LocalTargets;
    this.#taken += message.propertiesEnd - message.propertiesStart + message.bodyEnd - message.bodyStart;
    if (isTooLarge(local, message) || this.#taken > MAX_ATOMIC_BYTES) this.#items.push({ kind: 'too-large' });
    else this.#items.push({ kind: 'append', targets: local, message: isKept ? { ...message } : copyOf(message) });
  }

  settle(lease: Lease, queue: EngineQueue, first: number, count: number, settlement: Settlement): void {
    this.#items.push({
      kind: 'settle',
      lease: lease as LocalLease,
      queue: queue as LocalQueue,
      first,
      count,
      settlement,
    });
  }

  put(key: string, value: Uint8Array | null, expectedRevision?: number): void {
    const bytes = bytesOfPut(key, value);
    this.#taken += bytes;
    if (bytes > MAX_BODY_BYTES || this.#taken > MAX_ATOMIC_BYTES) this.#items.push({ kind: 'too-large' });
    else this.#items.push({ kind: 'put', key, value: value === null ? null : Buffer.from(value), expectedRevision });
  }

  commit<T>(receiver: CommitReceiver<T>, token: T): void {
    const judged = this.#judge();
    const refused = judged.filter((outcome) => outcome.outcome !== 'duplicate');
    if (refused.length > 0) {
      // Nothing is done, so nothing is stored of which another item would be a repeat.
      this.#host.committed(receiver, token, refused, false);
      return;
    }
    const { durable, outcomes } = this.#apply(judged);
    this.#host.committed(receiver, token, outcomes.length === 0 ? null : outcomes, durable);
  }

  #judge(): ItemOutcome[] {
    const refusals: ItemOutcome[] = [];
    const appended = new Map<LocalQueue, { count: number; bytes: number }>();
    const settled = new Map<LocalQueue, { readonly first: number; readonly end: number; readonly leaves: boolean }[]>();
    const hasLeft = (queue: LocalQueue, number: number): boolean =>
      settled.get(queue)?.some(({ first, end, leaves }) => leaves && number >= first && number < end) === true;
    const identities = new Set<string>();
    const earlier = this.#host.identities.earlier();
    const written = new Set<string>();
    const { journal } = this.#host;
    const full = journal.full && !journal.takes(this.#bytes());
    this.#items.forEach((entry, item) => {
      if (entry.kind === 'append') {
        const { message } = entry;
        // Judged once more, and counted, when it is applied. A repeat of another of the batch takes no room.
        const targets = takersOf(this.#host, entry.targets, message, false, hasLeft, earlier);
        if (targets === null) return;
        if (message.identity?.kind === 'each') earlier.add(targets.queues, message.identity.ids);
        let refusal = this.#judgeIdentity(message, identities);
        if (refusal === null) {
          if (full) refusal = refuse('full');
          for (const queue of targets.queues) {
            let before = appended.get(queue);
            if (before === undefined) appended.set(queue, (before = { count: 0, bytes: 0 }));
            refusal ??= judgeTargets(this.#host, targets, message, before.count, before.bytes, queue);
            if (message.dueAt !== 0) continue;
            before.count += 1;
            before.bytes += message.bodyEnd - message.bodyStart;
          }
        }
        if (refusal !== null) refusals.push({ item, ...refusal });
      } else if (entry.kind === 'settle') {
        const { lease, queue, first, count } = entry;
        if (queue.stream !== null) return;
        const ranges = settled.get(queue) ?? [];
        const overlaps = ranges.some((range) => first < range.end && first + count > range.first);
        if (overlaps || lease.lost || queue.deleted || !queue.holds(lease, first, count))
          refusals.push({ item, outcome: 'stale', reason: null });
        else if (entry.settlement === 'requeue' && queue.refusesAtLimit) countBack(entry, appended);
        ranges.push({ first, end: first + count, leaves: entry.settlement !== 'requeue' });
        settled.set(queue, ranges);
      } else if (entry.kind === 'too-large') {
        refusals.push({ item, ...refuse('too-large') });
      } else if (entry.expectedRevision !== undefined) {
        if (written.has(entry.key) || this.#host.keyed.revisionOf(entry.key) !== entry.expectedRevision) {
          refusals.push({ item, outcome: 'conflict', reason: null });
        }
        written.add(entry.key);
      } else {
        written.add(entry.key);
      }
    });
    return refusals;
  }

  /** About what the batch takes in the journal, rather more. */
  #bytes(): number {
    let bytes = 0;
    for (const entry of this.#items) {
      if (entry.kind === 'append') {
        const { targets, message } = entry;
        bytes +=
          128 +
          targets.envelope.length +
          12 * targets.queues.length +
          message.propertiesEnd +
          message.bodyEnd -
          message.bodyStart;
      } else if (entry.kind === 'settle') bytes += 64;
      else if (entry.kind === 'put') bytes += 32 + 3 * entry.key.length + (entry.value?.length ?? 0);
    }
    return bytes;
  }

  /** A repeat within the batch is a repeat; a producer's publishes may follow each other within it. */
  #judgeIdentity(message: MessageView, seen: Set<string>): Refusal | null {
    const { identity } = message;
    if (identity === null || identity.kind === 'each') return null;
    const at = (sequence: number): string => `p ${identity.kind === 'producer' ? identity.producer : ''} ${sequence}`;
    const key = identity.kind === 'producer' ? at(identity.sequence) : `i ${identity.scope} ${identity.id}`;
    if (seen.has(key)) return { outcome: 'duplicate', reason: null };
    const verdict = this.#host.identities.judge(identity);
    const follows =
      identity.kind === 'producer' &&
      verdict !== 'new' &&
      verdict.reason === 'gap' &&
      seen.has(at(identity.sequence - 1));
    if (verdict !== 'new' && !follows) return verdict;
    seen.add(key);
    return null;
  }

  #apply(duplicates: readonly ItemOutcome[]): { readonly durable: boolean; readonly outcomes: ItemOutcome[] } {
    const { journal, keyed } = this.#host;
    const outcomes: ItemOutcome[] = [...duplicates];
    const skipped = new Set(duplicates.map((outcome) => outcome.item));
    let durable = false;
    journal.roomTogether(this.#bytes());
    journal.atomic = true;
    try {
      this.#items.forEach((entry, item) => {
        if (skipped.has(item)) return;
        if (entry.kind === 'append') {
          const targets = takersOf(this.#host, entry.targets, entry.message, true);
          if (targets === null) {
            outcomes.push({ item, outcome: 'duplicate', reason: null });
            return;
          }
          applyAppend(this.#host, targets, entry.message);
          if (entry.message.dueAt !== 0) outcomes.push(waiting(item, targets));
          durable ||= targets.durable || entry.message.identity !== null;
        } else if (entry.kind === 'settle') {
          if (entry.queue.stream !== null) return;
          journal.endRun();
          entry.queue.settle(entry.first, entry.count, entry.settlement);
          durable ||= entry.queue.durable && entry.settlement !== 'requeue';
        } else if (entry.kind === 'put') {
          const revision = keyed.put(entry.key, entry.value);
          if (entry.expectedRevision !== undefined) outcomes.push({ item, outcome: 'written', reason: null, revision });
          durable = true;
        }
      });
      journal.endRun();
    } finally {
      journal.atomic = false;
    }
    return { durable, outcomes: outcomes.sort((a, b) => a.item - b.item) };
  }
}

type Refusal = Pick<ItemOutcome, 'outcome' | 'reason'>;

const refusals = new Map<RefusalReason, Refusal>();

function refuse(reason: RefusalReason): Refusal {
  let refusal = refusals.get(reason);
  if (refusal === undefined) {
    refusal = { outcome: 'refused', reason };
    refusals.set(reason, refusal);
  }
  return refusal;
}

function isTooLarge({ envelope }: LocalTargets, message: MessageView): boolean {
  return (
    message.bodyEnd - message.bodyStart > MAX_BODY_BYTES ||
    message.propertiesEnd - message.propertiesStart > MAX_PROPERTIES_BYTES ||
    envelope.length > MAX_ENVELOPE_BYTES
  );
}

function bytesOfPut(key: string, value: Uint8Array | null): number {
  return Buffer.byteLength(key) + (value?.length ?? 0);
}

/** Why the message can't be appended, or null. `count` and `bytes` of the same batch come before it. */
function judgeAppend(
  host: BatchHost,
  targets: LocalTargets,
  message: MessageView,
  count: number,
  bytes: number,
  only?: LocalQueue,
): Refusal | null {
  if (message.identity !== null) {
    const verdict = host.identities.judge(message.identity);
    if (verdict !== 'new') return verdict;
  }
  if (host.journal.full && !host.journal.takes(host.journal.bytesOf(targets, message))) return refuse('full');
  return judgeTargets(host, targets, message, count, bytes, only);
}

function judgeTargets(
  host: BatchHost,
  targets: LocalTargets,
  message: MessageView,
  count: number,
  bytes: number,
  only?: LocalQueue,
): Refusal | null {
  for (const queue of only === undefined ? targets.queues : [only]) {
    if (queue.deleted) return refuse('gone');
    if (queue.damage !== null) return refuse('damaged');
    // What is due later counts, and can't be refused any more, when it is ready.
    if (!queue.refusesAtLimit || message.dueAt !== 0) continue;
    const open = host.journal.openRunIs(targets);
    // What other runs of this batch brought must be counted.
    if (!open) host.journal.endRun();
    const pending = open ? host.journal.openRunCount : 0;
    const pendingBytes = open ? host.journal.openRunBytes : 0;
    if (!queue.hasRoom(message.bodyEnd - message.bodyStart, pending + count, pendingBytes + bytes))
      return refuse('max-length');
  }
  return null;
}

/** The message as it is to be appended: one that is due already is like any other. */
function unlessDue(host: BatchHost, message: MessageView): MessageView {
  if (message.dueAt === 0 || message.dueAt > host.journal.clock.now()) return message;
  return { ...message, dueAt: 0 };
}

/** The answer to a delayed message that was appended last. */
function waiting(item: number, { queues }: LocalTargets): ItemOutcome {
  const numbers = queues.map((queue) => queue.delayed.messages.next - 1);
  return { item, outcome: 'waiting', reason: null, numbers };
}

/** What comes back is ready before what is appended behind it. */
function countBack(
  { queue, first, count }: AtomicItem & { readonly kind: 'settle' },
  ready: Map<LocalQueue, { count: number; bytes: number }>,
): void {
  const before = ready.get(queue) ?? { count: 0, bytes: 0 };
  for (let number = first; number < first + count; number++) {
    if (!queue.comesBack(number)) continue;
    before.count += 1;
    before.bytes += queue.held.bytesOf(number);
  }
  ready.set(queue, before);
}

/** The targets that no id keeps the message from; null: there are none. */
function takersOf(
  host: BatchHost,
  targets: LocalTargets,
  { identity }: MessageView,
  counts: boolean,
  hasLeft?: HasLeft,
  earlier?: EarlierIds,
): LocalTargets | null {
  if (identity?.kind !== 'each') return targets;
  const takers = host.identities.takers(targets.queues, identity.ids, hasLeft, earlier);
  if (takers === targets.queues) return targets;
  if (counts) host.identities.countRepeats(identity.ids);
  return takers.length === 0 ? null : new LocalTargets(takers, targets.envelope);
}

function applyAppend(host: BatchHost, targets: LocalTargets, message: MessageView): void {
  const { journal, identities } = host;
  if (message.identity === null || targets.queues.length === 0) {
    if (message.identity !== null) identities.remember(message.identity);
    if (targets.queues.length > 0) journal.append(targets, message);
    return;
  }
  // One without the other would lose the message, or store it twice: both stand in one group.
  const alone = !journal.atomic;
  if (alone) {
    const ids = message.identity.kind === 'each' ? message.identity.ids.length : 1;
    journal.entryRoom(journal.bytesOf(targets, message) + ids * IDENTITY_BYTES);
    journal.atomic = true;
  }
  try {
    if (message.identity.kind === 'each') {
      journal.append(targets, message);
      // It has its numbers then.
      journal.endRun();
      identities.rememberEach(targets.queues, message.identity.ids, message.dueAt !== 0);
      return;
    }
    identities.remember(message.identity);
    journal.append(targets, message);
  } finally {
    if (alone) journal.atomic = false;
  }
}

function copyOf(message: MessageView): MessageView {
  const properties = message.propertiesEnd - message.propertiesStart;
  const body = message.bodyEnd - message.bodyStart;
  const bytes = Buffer.allocUnsafe(properties + body);
  message.head.copy(bytes, 0, message.propertiesStart, message.propertiesEnd);
  message.body.copy(bytes, properties, message.bodyStart, message.bodyEnd);
  return {
    head: bytes,
    envelopeStart: 0,
    envelopeEnd: 0,
    propertiesStart: 0,
    propertiesEnd: properties,
    body: bytes,
    bodyStart: properties,
    bodyEnd: properties + body,
    expiresAt: message.expiresAt,
    priority: message.priority,
    dueAt: message.dueAt,
    identity: message.identity,
  };
}
