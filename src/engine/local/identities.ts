/** How a repeat of a publish is recognised: producers by dense sequence, message ids within windows. */
import { createHash } from 'node:crypto';
import type { Identity, ItemOutcome, ProducerState } from '../engine.ts';
import { IdWindow } from './id-window.ts';
import { EntryKind } from './journal/directory.ts';
import type { Journal } from './journal/journal.ts';

type Verdict = 'new' | Pick<ItemOutcome, 'outcome' | 'reason'>;

const DUPLICATE: Verdict = { outcome: 'duplicate', reason: null };
const GAP: Verdict = { outcome: 'refused', reason: 'gap' };
const FENCED: Verdict = { outcome: 'refused', reason: 'fenced' };

/** Ids that were judged and may be remembered next. */
const MOST_JUDGED = 1024;
/** With so many scopes those that are over are looked for, and again when there are twice as many as were left. */
const MOST_SCOPES = 1024;

export class Identities {
  readonly producers = new Map<string, { epoch: number; lastSequence: number }>();
  /** A producer changed since the last checkpoint. */
  changed = true;
  readonly windows = new Map<string, IdWindow>();
  readonly #journal: () => Journal;
  /** Hashes of ids that were judged new. */
  readonly #judged = new Map<string, string>();
  #mostScopes = MOST_SCOPES;

  constructor(journal: () => Journal) {
    this.#journal = journal;
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
    const hash = hashOf(identity.id);
    const at = this.windows.get(identity.scope)?.rememberedAt(hash);
    if (at !== undefined && at + identity.windowMs > this.#journal().clock.now()) return DUPLICATE;
    if (this.#judged.size >= MOST_JUDGED) this.#judged.clear();
    this.#judged.set(identity.id, hash);
    return 'new';
  }

  /** The publish is stored: the same group remembers its identity. */
  remember(identity: Identity): void {
    if (identity.kind === 'producer') {
      this.changed = true;
      this.producers.get(identity.producer)!.lastSequence = identity.sequence;
      this.#noteProducer(identity.producer, identity.epoch, identity.sequence);
      return;
    }
    const { scope, id, windowMs, windowCount } = identity;
    const now = this.#journal().clock.now();
    const hash = this.#judged.get(id) ?? hashOf(id);
    this.#judged.delete(id);
    const known = this.windows.get(scope);
    if (known === undefined && this.windows.size >= this.#mostScopes) {
      this.forgetOld();
      this.#mostScopes = Math.max(MOST_SCOPES, 2 * this.windows.size);
    } else if (known !== undefined) {
      known.forMs = windowMs;
      if (known.isOver(now)) this.windows.delete(scope);
    }
    this.restoreId(scope, hash, now, windowMs);
    this.windows.get(scope)!.forget(windowCount, now);
    this.#noteId(scope, hash, now, windowMs);
  }

  /** Forgets scopes in which nothing counts any more, and a part of what is old in the others. */
  forgetOld(): void {
    const now = this.#journal().clock.now();
    for (const [scope, window] of this.windows) {
      if (window.isOver(now)) this.windows.delete(scope);
      else window.forget(Infinity, now);
    }
  }

  restoreProducer(name: string, epoch: number, lastSequence: number): void {
    this.changed = true;
    this.producers.set(name, { epoch, lastSequence });
  }

  restoreId(scope: string, hash: string, at: number, forMs: number): void {
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

function hashOf(id: string): string {
  return createHash('sha256').update(id).digest().toString('latin1', 0, 16);
}
