/** The durable topology and the queues: what exists, by key and by number. */
import type { Json, QueueSpec, Topology, TopologyChange, TopologyEntry } from '../engine.ts';
import { EngineError } from '../errors.ts';
import { EntryKind, TRANSIENT_QUEUE } from './journal/directory.ts';
import type { Journal } from './journal/journal.ts';
import { LocalQueue } from './queue.ts';
import type { QueueHost } from './queue-host.ts';

/** How an `ENTRY` stands in the journal. */
export type EntryChange =
  | { readonly op: 'put'; readonly kind: string; readonly key: string; readonly value: Json }
  | { readonly op: 'delete'; readonly kind: string; readonly key: string };

export class LocalTopology {
  revision = 0;
  nextQueueId = 1;
  readonly entries = new Map<string, TopologyEntry>();
  readonly queues = new Map<string, LocalQueue>();
  readonly byId = new Map<number, LocalQueue>();
  readonly streams = new Set<LocalQueue>();
  /** Grows when a queue can take appends no more, or other ones. */
  queueVersion = 1;
  /** Entries changed since the last checkpoint. */
  changed = true;
  readonly #host: QueueHost;
  #nextTransientId = TRANSIENT_QUEUE;

  constructor(host: QueueHost) {
    this.#host = host;
  }

  snapshot(): Topology {
    return {
      revision: this.revision,
      entries: [...this.entries.values()],
      queues: [...this.queues.values()].map((queue) => queue.spec),
    };
  }

  /** @throws EngineError when one of the changes can't be made; none is, then */
  check(changes: readonly TopologyChange[], expectedRevision: number | undefined): void {
    if (expectedRevision !== undefined && expectedRevision !== this.revision) {
      throw new EngineError(
        'CONFLICT',
        `the topology is at revision ${this.revision}, not ${expectedRevision}: read it again and retry`,
      );
    }
    // Queues as they will be when the changes before are made; null: deleted.
    const planned = new Map<string, QueueSpec | null>();
    for (const change of changes) {
      if (change.op === 'delete-queue') {
        const queue = this.queues.get(change.key);
        if (queue !== undefined && !planned.has(change.key)) {
          if (change.ifUnused === true && queue.consumerCount > 0)
            throw new EngineError('IN_USE', `queue ${change.key} has ${queue.consumerCount} consumers`);
          if (change.ifEmpty === true && queue.ready > 0)
            throw new EngineError('NOT_EMPTY', `queue ${change.key} has ${queue.ready} messages`);
        }
        planned.set(change.key, null);
      } else if (change.op === 'put-queue') {
        const { key, limits, durable } = change.queue;
        if (limits.stream !== undefined && (!durable || Object.keys(limits).length > 1))
          throw new EngineError('UNSUPPORTED', `stream ${key} must be durable and have no limits but its own`);
        const before = planned.has(key) ? planned.get(key) : this.queues.get(key)?.spec;
        if (before && before.limits.maxPriority !== limits.maxPriority) {
          throw new EngineError(
            'UNSUPPORTED',
            `queue ${key} can't change its highest priority: delete it and declare it anew`,
          );
        }
        if (before && before.limits.groupBy !== limits.groupBy) {
          throw new EngineError(
            'UNSUPPORTED',
            `queue ${key} can't change what its messages are grouped by: delete it and declare it anew`,
          );
        }
        if (before && (before.limits.stream === undefined) !== (limits.stream === undefined)) {
          throw new EngineError(
            'UNSUPPORTED',
            `queue ${key} can't change whether it is a stream: delete it and declare it anew`,
          );
        }
        if (before && before.durable !== durable) {
          throw new EngineError(
            'UNSUPPORTED',
            `queue ${key} can't change whether it is durable: delete it and declare it anew`,
          );
        }
        planned.set(key, change.queue);
      }
    }
  }

  /** Makes the changes. Returns the ready messages that went with deleted queues, these queues, and whether anything durable changed. */
  apply(changes: readonly TopologyChange[]): {
    readonly removed: number;
    readonly durable: boolean;
    readonly gone: readonly LocalQueue[];
  } {
    const gone: LocalQueue[] = [];
    this.revision++;
    let removed = 0;
    let durable = false;
    for (const change of changes) {
      switch (change.op) {
        case 'put': {
          const { entry } = change;
          const known = this.entries.get(entryId(entry.kind, entry.key));
          this.entries.set(entryId(entry.kind, entry.key), entry);
          if (!entry.durable && known?.durable === true)
            durable = this.#noteEntry({ op: 'delete', kind: entry.kind, key: entry.key });
          if (entry.durable)
            durable = this.#noteEntry({ op: 'put', kind: entry.kind, key: entry.key, value: entry.value });
          break;
        }
        case 'delete': {
          const id = entryId(change.kind, change.key);
          const known = this.entries.get(id);
          this.entries.delete(id);
          if (known?.durable === true) durable = this.#noteEntry({ op: 'delete', kind: change.kind, key: change.key });
          break;
        }
        case 'put-queue': {
          const known = this.queues.get(change.queue.key);
          const id = known?.id ?? (change.queue.durable ? this.nextQueueId++ : this.#nextTransientId++);
          this.putQueue(id, change.queue);
          if (change.queue.durable) durable = this.#note(EntryKind.QUEUE, id, JSON.stringify(change.queue));
          break;
        }
        case 'delete-queue': {
          const queue = this.queues.get(change.key);
          if (queue === undefined) break;
          removed += queue.ready;
          gone.push(queue);
          this.removeQueue(queue);
          if (queue.durable) durable = this.#note(EntryKind.GONE, queue.id, null);
          break;
        }
      }
    }
    if (durable) this.changed = true;
    return { removed, durable, gone };
  }

  putQueue(id: number, spec: QueueSpec): LocalQueue {
    this.queueVersion++;
    const known = this.byId.get(id);
    if (known !== undefined) {
      known.spec = spec;
      known.limits = spec.limits;
      known.stream?.limitsChanged();
      this.#host.dispatcher.touch(known);
      return known;
    }
    const queue = new LocalQueue(id, spec, this.#host);
    this.queues.set(spec.key, queue);
    this.byId.set(id, queue);
    if (queue.stream !== null) this.streams.add(queue);
    if (id < TRANSIENT_QUEUE) this.nextQueueId = Math.max(this.nextQueueId, id + 1);
    return queue;
  }

  removeQueue(queue: LocalQueue): void {
    this.queueVersion++;
    this.queues.delete(queue.key);
    this.byId.delete(queue.id);
    this.streams.delete(queue);
    queue.delete();
  }

  restoreEntry(change: EntryChange): void {
    const id = entryId(change.kind, change.key);
    if (change.op === 'put')
      this.entries.set(id, { kind: change.kind, key: change.key, durable: true, value: change.value });
    else this.entries.delete(id);
  }

  #noteEntry(change: EntryChange): true {
    return this.#note(EntryKind.ENTRY, null, JSON.stringify(change));
  }

  #note(kind: number, queue: number | null, json: string | null): true {
    const journal: Journal = this.#host.journal;
    if (journal.volatile) return true;
    const bytes = json === null ? null : Buffer.from(json, 'utf8');
    journal.entryRoom(17 + (bytes?.length ?? 0));
    const { directory } = journal;
    directory.u8(kind);
    directory.f64(this.revision);
    if (queue !== null) directory.u32(queue);
    if (bytes !== null) {
      directory.u32(bytes.length);
      directory.bytes(bytes);
    }
    return true;
  }
}

function entryId(kind: string, key: string): string {
  return `${kind}\0${key}`;
}
