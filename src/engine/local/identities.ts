/** How a repeat of a publish is recognised: producers by dense sequence, message ids within windows. */
import { createHash } from 'node:crypto';
import type { Identity, ItemOutcome, ProducerState } from '../engine.ts';
import { EntryKind } from './journal/directory.ts';
import type { Journal } from './journal/journal.ts';

interface IdWindow {
  /** Hash to when it was remembered; oldest first. */
  readonly seen: Map<string, number>;
}

type Verdict = 'new' | Pick<ItemOutcome, 'outcome' | 'reason'>;

const DUPLICATE: Verdict = { outcome: 'duplicate', reason: null };
const GAP: Verdict = { outcome: 'refused', reason: 'gap' };
const FENCED: Verdict = { outcome: 'refused', reason: 'fenced' };

export class Identities {
  readonly producers = new Map<string, { epoch: number; lastSequence: number }>();
  readonly windows = new Map<string, IdWindow>();
  readonly #journal: () => Journal;

  constructor(journal: () => Journal) {
    this.#journal = journal;
  }

  openProducer(name: string): ProducerState {
    const known = this.producers.get(name) ?? { epoch: 0, lastSequence: 0 };
    known.epoch++;
    this.producers.set(name, known);
    this.#noteProducer(name, known.epoch, known.lastSequence);
    return { epoch: known.epoch, lastSequence: known.lastSequence };
  }

  /** Whether a publish with this identity is new; changes nothing. */
  judge(identity: Identity): Verdict {
    if (identity.kind === 'producer') {
      const known = this.producers.get(identity.producer);
      if (known?.epoch !== identity.epoch) return FENCED;
      if (identity.sequence <= known.lastSequence) return DUPLICATE;
      return identity.sequence === known.lastSequence + 1 ? 'new' : GAP;
    }
    const at = this.windows.get(identity.scope)?.seen.get(hashOf(identity.id));
    return at !== undefined && at + identity.windowMs > this.#journal().clock.now() ? DUPLICATE : 'new';
  }

  /** The publish is stored: the same group remembers its identity. */
  remember(identity: Identity): void {
    if (identity.kind === 'producer') {
      this.producers.get(identity.producer)!.lastSequence = identity.sequence;
      this.#noteProducer(identity.producer, identity.epoch, identity.sequence);
      return;
    }
    const now = this.#journal().clock.now();
    const hash = hashOf(identity.id);
    this.restoreId(identity.scope, hash, now);
    const { seen } = this.windows.get(identity.scope)!;
    for (const [oldest, at] of seen) {
      if (seen.size <= identity.windowCount && at + identity.windowMs > now) break;
      seen.delete(oldest);
    }
    this.#noteId(identity.scope, hash, now);
  }

  restoreId(scope: string, hash: string, at: number): void {
    let window = this.windows.get(scope);
    if (window === undefined) {
      window = { seen: new Map() };
      this.windows.set(scope, window);
    }
    window.seen.delete(hash);
    window.seen.set(hash, at);
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

  #noteId(scope: string, hash: string, at: number): void {
    const journal = this.#journal();
    if (journal.volatile) return;
    const bytes = Buffer.from(scope, 'utf8');
    journal.entryRoom(29 + bytes.length);
    journal.directory.u8(EntryKind.IDENTITY);
    journal.directory.f64(at);
    journal.directory.bytes(Buffer.from(hash, 'latin1'));
    journal.directory.u32(bytes.length);
    journal.directory.bytes(bytes);
  }
}

function hashOf(id: string): string {
  return createHash('sha256').update(id).digest().toString('latin1', 0, 16);
}
