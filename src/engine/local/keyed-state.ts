/** Keys with values and revisions. Revisions grow over the whole store. */
import type { KeyedValue } from '../engine.ts';
import { DELETED_VALUE, EntryKind } from './journal/directory.ts';
import type { Journal } from './journal/journal.ts';

export class KeyedState {
  readonly values = new Map<string, { readonly value: Uint8Array; readonly revision: number }>();
  revision = 0;
  /** Changed since the last checkpoint. */
  changed = true;
  readonly #journal: () => Journal;

  constructor(journal: () => Journal) {
    this.#journal = journal;
  }

  revisionOf(key: string): number {
    return this.values.get(key)?.revision ?? 0;
  }

  /** Writes, or with null deletes. Returns the new revision. */
  put(key: string, value: Uint8Array | null): number {
    const revision = ++this.revision;
    this.restore(key, value === null ? null : Buffer.from(value), revision);
    const journal = this.#journal();
    if (!journal.volatile) {
      const bytes = Buffer.from(key, 'utf8');
      journal.entryRoom(17 + bytes.length + (value?.length ?? 0));
      const { directory } = journal;
      directory.u8(EntryKind.STATE);
      directory.f64(revision);
      directory.u32(bytes.length);
      directory.u32(value === null ? DELETED_VALUE : value.length);
      directory.bytes(bytes);
      if (value !== null) directory.bytes(value);
    }
    return revision;
  }

  restore(key: string, value: Uint8Array | null, revision: number): void {
    this.changed = true;
    this.revision = Math.max(this.revision, revision);
    if (value === null) this.values.delete(key);
    else this.values.set(key, { value, revision });
  }

  withPrefix(prefix: string): KeyedValue[] {
    const found: KeyedValue[] = [];
    for (const [key, { value, revision }] of this.values)
      if (key.startsWith(prefix)) found.push({ key, value, revision });
    return found;
  }
}
