/** How a repeat of a publish is recognised: producers by dense sequence, message ids within windows. */
import { createHash } from 'node:crypto';
import type { GuardingId, Identity, ItemOutcome, ProducerState } from '../engine.ts';
import { EarlierIds } from './earlier-ids.ts';
import { IdWindow } from './id-window.ts';
import { EntryKind } from './journal/directory.ts';
import type { Journal } from './journal/journal.ts';
import type { LocalQueue } from './queue.ts';

type Verdict = 'new' | Pick<ItemOutcome, 'outcome' | 'reason'>;

const DUPLICATE: Verdict = { outcome: 'duplicate', reason: null };
const GAP: Verdict = { outcome: 'refused', reason: 'gap' };
const FENCED: Verdict = { outcome: 'refused', reason: 'fenced' };

/** What the scopes of queues begin with, before the queue's number. */
const QUEUE_SCOPE = '\u0000';
/** For how long an id is remembered that is there as long as its message: `at` is the message's number in its queue then, negative while it is delayed. */
const RESIDENT = Infinity;

/** Ids that were judged and may be remembered next; longer ones are hashed once more. */
const MOST_JUDGED = 1024;
const LONGEST_JUDGED = 256;
/** With so many scopes those that are over are looked for, and again when there are twice as many as were left. */
const MOST_SCOPES = 1024;

/** Whether a message that is in the queue is not by now. */
export type HasLeft = (queue: LocalQueue, number: number) => boolean;

export class Identities {
  readonly producers = new Map<string, { epoch: number; lastSequence: number }>();
  /** A producer changed since the last checkpoint. */
  changed = true;
  readonly windows = new Map<string, IdWindow>();
  readonly #journal: () => Journal;
  readonly #queueOf: (id: number) => LocalQueue | undefined;
  /** Hashes of ids that were judged new. */
  readonly #judged = new Map<string, string>();
  /** Whether a delayed message may have an id that counts as long as it is in its queue. */
  #hasDelayed = false;
  /** How many repeats were found by the ids of a scope. */
  readonly #repeats = new Map<LocalQueue, number>();
  #mostScopes = MOST_SCOPES;

  constructor(journal: () => Journal, queueOf: (id: number) => LocalQueue | undefined = () => undefined) {
    this.#journal = journal;
    this.#queueOf = queueOf;
  }

  openProducer(name: string): ProducerState {
    const { epoch, lastSequence } = this.producers.get(name) ?? { epoch: 0, lastSequence: 0 };
    this.restoreProducer(name, epoch + 1, lastSequence);
    this.#noteProducer(name, epoch + 1, lastSequence);
    return { epoch: epoch + 1, lastSequence };
  }

  /** Whether a publish with this identity is new; changes nothing. */
  judge(identity: Identity): Verdict {
    if (identity.kind === 'producer') {
      const known = this.producers.get(identity.producer);
      if (known?.epoch !== identity.epoch) return FENCED;
      if (identity.sequence <= known.lastSequence) return DUPLICATE;
      return identity.sequence === known.lastSequence + 1 ? 'new' : GAP;
    }
    if (identity.kind === 'each') return 'new';
    const at = this.windows.get(identity.scope)?.rememberedAt(this.#hash(identity.id));
    return at !== undefined && at + identity.windowMs > this.#journal().clock.now() ? DUPLICATE : 'new';
  }

  /** Which of these queues an id keeps its message from: the others, in their order. `hasLeft`: what a batch settles before it appends; `earlier`: what it appends before. */
  takers(
    queues: readonly LocalQueue[],
    ids: readonly GuardingId[],
    hasLeft?: HasLeft,
    earlier?: EarlierIds,
  ): readonly LocalQueue[] {
    let kept: Set<unknown> | null = null;
    for (const guard of ids) {
      const isNew = earlier?.hasPushedOut(guard) === true || !this.#isRepeat(guard, hasLeft);
      if (isNew && earlier?.has(guard) !== true) continue;
      kept ??= new Set();
      for (const queue of guard.queues) kept.add(queue);
    }
    return kept === null ? queues : queues.filter((queue) => !kept.has(queue));
  }

  /** For a batch that is judged before it is applied. */
  earlier(): EarlierIds {
    const hash = (id: string): string => this.#hash(id);
    return new EarlierIds((owner) => this.windows.get(scopeOf(owner as LocalQueue)), hash);
  }

  /** A checkpoint's window, as it was. */
  restoreWindow(scope: string, window: IdWindow): void {
    this.windows.set(scope, window);
    if (window.forMs === RESIDENT) this.#hasDelayed = true;
  }

  /** A delayed message of the queue is ready, and has this number there. Recovery comes here as the engine does, so that it needs no note. */
  becameReady(queue: LocalQueue, delayed: number, number: number): void {
    if (this.#hasDelayed) this.windows.get(scopeOf(queue))?.becameReady(-delayed, number);
  }

  /** Counts what `takers` found out. */
  countRepeats(ids: readonly GuardingId[]): void {
    for (const guard of ids) {
      if (!this.#isRepeat(guard)) continue;
      const owner = guard.owner as LocalQueue;
      this.#repeats.set(owner, (this.#repeats.get(owner) ?? 0) + 1);
    }
  }

  statsOf(owner: LocalQueue): { readonly repeats?: number } {
    const repeats = this.#repeats.get(owner);
    return repeats === undefined ? {} : { repeats };
  }

  /** One of these queues got the message, as the last one so far. */
  rememberEach(queues: readonly LocalQueue[], ids: readonly GuardingId[], delayed: boolean): void {
    const now = this.#journal().clock.now();
    for (const guard of ids) {
      if (!guard.queues.some((queue) => queues.includes(queue as LocalQueue))) continue;
      const { id, windowCount, windowMs, ownMs } = guard;
      const owner = guard.owner as LocalQueue;
      const scope = scopeOf(owner);
      if (windowMs !== 'resident') {
        // One with a time of its own is remembered as if that were earlier, or later.
        const at = ownMs === undefined ? now : now + ownMs - windowMs;
        this.#remember(scope, id, at, windowMs, windowCount, owner.durable);
        continue;
      }
      const number = delayed ? 1 - owner.delayed.messages.next : owner.next - 1;
      this.windows.get(scope)?.sweep((at) => isThere(owner, at));
      this.#remember(scope, id, number, RESIDENT, Infinity, owner.durable);
    }
  }

  #isRepeat({ id, owner, windowMs }: GuardingId, hasLeft?: HasLeft): boolean {
    const queue = owner as LocalQueue;
    const at = this.windows.get(scopeOf(queue))?.rememberedAt(this.#hash(id));
    if (at === undefined) return false;
    if (windowMs === 'resident') return isThere(queue, at) && hasLeft?.(queue, at) !== true;
    return at + windowMs > this.#journal().clock.now();
  }

  #hash(id: string): string {
    const known = this.#judged.get(id);
    if (known !== undefined) return known;
    const hash = hashOf(id);
    if (id.length > LONGEST_JUDGED) return hash;
    if (this.#judged.size >= MOST_JUDGED) this.#judged.clear();
    this.#judged.set(id, hash);
    return hash;
  }

  /** The publish is stored: the same group remembers its identity. */
  remember(identity: Identity): void {
    if (identity.kind === 'producer') {
      this.changed = true;
      this.producers.get(identity.producer)!.lastSequence = identity.sequence;
      this.#noteProducer(identity.producer, identity.epoch, identity.sequence);
      return;
    }
    if (identity.kind === 'each') return;
    const { scope, id, windowMs, windowCount } = identity;
    this.#remember(scope, id, this.#journal().clock.now(), windowMs, windowCount, true);
  }

  #remember(scope: string, id: string, at: number, windowMs: number, windowCount: number, durable: boolean): void {
    const now = this.#journal().clock.now();
    const hash = this.#hash(id);
    const known = this.windows.get(scope);
    if (known === undefined && this.windows.size >= this.#mostScopes) {
      this.forgetOld();
      this.#mostScopes = Math.max(MOST_SCOPES, 2 * this.windows.size);
    } else if (known !== undefined) {
      known.forMs = windowMs;
      if (known.isOver(now)) this.windows.delete(scope);
    }
    this.restoreId(scope, hash, at, windowMs);
    this.windows.get(scope)!.forget(windowCount, now);
    if (durable) this.#noteId(scope, hash, at, windowMs);
  }

  /** Forgets scopes in which nothing counts any more, those of queues that are gone, and a part of what is old in the others. */
  forgetOld(): void {
    const now = this.#journal().clock.now();
    for (const owner of this.#repeats.keys()) if (owner.deleted) this.#repeats.delete(owner);
    for (const [scope, window] of this.windows) {
      if (window.isOver(now) || this.#isOfGone(scope)) this.windows.delete(scope);
      else window.forget(Infinity, now);
    }
  }

  #isOfGone(scope: string): boolean {
    return scope.startsWith(QUEUE_SCOPE) && this.#queueOf(Number(scope.slice(QUEUE_SCOPE.length))) === undefined;
  }

  restoreProducer(name: string, epoch: number, lastSequence: number): void {
    this.changed = true;
    this.producers.set(name, { epoch, lastSequence });
  }

  restoreId(scope: string, hash: string, at: number, forMs: number): void {
    if (forMs === RESIDENT && at < 0) this.#hasDelayed = true;
    let window = this.windows.get(scope);
    if (window === undefined) {
      window = new IdWindow();
      this.windows.set(scope, window);
    }
    window.add(hash, at, forMs);
  }

  #noteProducer(name: string, epoch: number, sequence: number): void {
    const journal = this.#journal();
    if (journal.volatile) return;
    const bytes = Buffer.from(name, 'utf8');
    journal.entryRoom(21 + bytes.length);
    journal.directory.u8(EntryKind.PRODUCER);
    journal.directory.f64(epoch);
    journal.directory.f64(sequence);
    journal.directory.u32(bytes.length);
    journal.directory.bytes(bytes);
  }

  #noteId(scope: string, hash: string, at: number, forMs: number): void {
    const journal = this.#journal();
    if (journal.volatile) return;
    const bytes = Buffer.from(scope, 'utf8');
    journal.entryRoom(37 + bytes.length);
    journal.directory.u8(EntryKind.IDENTITY);
    journal.directory.f64(at);
    journal.directory.f64(forMs);
    journal.directory.bytes(Buffer.from(hash, 'latin1'));
    journal.directory.u32(bytes.length);
    journal.directory.bytes(bytes);
  }
}

function scopeOf(owner: LocalQueue): string {
  return QUEUE_SCOPE + String(owner.id);
}

/** Whether the message with this number, or while it is delayed with that below 0, is in the queue. */
function isThere(queue: LocalQueue, number: number): boolean {
  if (number < 0) return queue.delayed.messages.find(-number);
  return number < queue.next && !queue.held.isSettled(number);
}

function hashOf(id: string): string {
  return createHash('sha256').update(id).digest().toString('latin1', 0, 16);
}
