/** Planted bugs, each of which the simulation must catch. */
import type { Patch } from './build.ts';
import type { FilesMutation } from './mutated-files.ts';
import type { Scene } from './scenes.ts';

export interface Mutant {
  readonly name: string;
  /** What is wrong, in a line. */
  readonly bug: string;
  readonly files?: FilesMutation;
  readonly patches?: readonly Patch[];
  /** Seeds meet it seldom: this shows it at once. */
  readonly scene?: Scene;
}

const engine = 'src/engine/local';

export const mutants: readonly Mutant[] = [
  {
    name: 'confirm-before-sync',
    bug: 'a group counts as durable once it was written',
    files: 'append-confirmed-before-sync',
  },
  { name: 'no-file-sync', bug: 'files other than the journal are never synced', files: 'sync-skipped' },
  {
    name: 'no-directory-sync',
    bug: 'created, renamed and removed names are never synced',
    files: 'directory-never-synced',
  },
  { name: 'failed-sync-ignored', bug: 'a failed sync is taken for a good one', files: 'failed-sync-ignored' },
  {
    name: 'failed-append-ignored',
    bug: 'a failed write of the journal is taken for a good one',
    files: 'failed-append-ignored',
  },
  {
    name: 'segment-deleted-early',
    bug: 'an emptied segment goes although a recovery would still read the settlements in it',
    patches: [
      {
        file: `${engine}/disk-store.ts`,
        find: 'segment.alive === 0 && segment.id < covered',
        replace: 'segment.alive === 0',
      },
    ],
  },
  {
    name: 'emptied-before-durable',
    bug: 'a segment goes before the settlements that emptied it are durable',
    scene: 'emptiedDuringACheckpoint',
    patches: [
      {
        file: `${engine}/disk-store.ts`,
        find: 'if (emptied.length === 0) return;\n    await new Promise<void>((resolve, reject) =>',
        replace:
          'if (emptied.length === 0) return;\n    await new Promise<void>((resolve, reject) => void resolve() ||',
      },
    ],
  },
  {
    name: 'found-marker-not-synced',
    bug: 'a start that finds a marker does not make sure of its name',
    scene: 'markerThatAStartFinds',
    patches: [
      { file: `${engine}/journal/data-directory.ts`, find: 'else await files.syncDirectory(directory);', replace: '' },
    ],
  },
  {
    name: 'tail-not-rewritten',
    bug: 'what recovery read at the end of the journal is taken for durable',
    patches: [{ file: `${engine}/disk-store.ts`, find: 'await this.#proveTail(recovered);', replace: '' }],
  },
  {
    name: 'tail-cut-too-short',
    bug: 'the cut behind the recovered journal is one byte off',
    patches: [
      { file: `${engine}/disk-store.ts`, find: 'file.truncate(tail.end)', replace: 'file.truncate(tail.end - 1)' },
    ],
  },
  {
    name: 'torn-run-replayed',
    bug: 'recovery takes a group whose messages are torn',
    patches: [
      {
        file: `${engine}/journal/recovery.ts`,
        find: '|| !runsAreWhole(bytes, offset, header)',
        replace: '',
      },
    ],
  },
  {
    name: 'checkpoint-not-synced',
    bug: 'a checkpoint gets its name before its bytes are on disk',
    patches: [{ file: `${engine}/journal/checkpoints.ts`, find: 'await file.sync();', replace: '' }],
  },
  {
    name: 'checkpoint-ahead',
    bug: 'a checkpoint is written before the groups that it covers are durable',
    patches: [
      {
        file: `${engine}/disk-store.ts`,
        find: 'segment: end.segment, offset: end.offset, sealed });\n        await new Promise<void>((resolve, reject) =>',
        replace:
          'segment: end.segment, offset: end.offset, sealed });\n        await new Promise<void>((resolve, reject) => void resolve() ||',
      },
    ],
  },
  {
    name: 'settlement-not-journalled',
    bug: 'a single range of settlements is left out of its group',
    patches: [
      {
        file: `${engine}/queue-notes.ts`,
        find: 'if (this.#ranges.length > 0) {',
        replace: 'if (this.#ranges.length === 2) this.#ranges = [];\n    if (this.#ranges.length > 2) {',
      },
    ],
  },
  {
    name: 'settlement-waits',
    bug: 'a settlement is confirmed with one group and written with a later one',
    patches: [
      {
        file: `${engine}/queue-notes.ts`,
        find: 'if (this.#ranges.length > 0) {',
        replace: 'if (this.#ranges.length > 2) {',
      },
    ],
  },
  {
    name: 'compaction-moves-all',
    bug: 'compaction writes settled messages again',
    patches: [
      {
        file: `${engine}/journal/compaction.ts`,
        find: 'queue.living(first, count)',
        replace: '[[first, count] as const]',
      },
    ],
  },
  {
    name: 'transaction-split',
    bug: 'an atomic batch may be divided over two groups',
    patches: [
      {
        file: `${engine}/batch.ts`,
        find: 'journal.roomTogether(this.#bytes());\n    journal.atomic = true;',
        replace: '',
      },
    ],
  },
  {
    name: 'given-back-not-counted',
    bug: 'what a transaction gives back does not count against the limit of what it appends',
    patches: [
      {
        file: `${engine}/batch.ts`,
        find: "else if (entry.settlement === 'requeue' && queue.refusesAtLimit) countBack(entry, appended);",
        replace: '',
      },
    ],
  },
  {
    name: 'delivery-not-journalled',
    bug: 'how far a queue may have been delivered is not written',
    patches: [
      {
        file: `${engine}/queue-notes.ts`,
        find: `        directory.u8(EntryKind.DELIVERED);
        directory.u32(queue.id);
        directory.u8(level.priority);
        directory.f64(delivered);
        directory.f64(level.notedMayBelow);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'count-not-journalled',
    bug: 'a redelivery is not counted on disk',
    patches: [
      {
        file: `${engine}/queue-notes.ts`,
        find: `    journal.directory.u8(EntryKind.COUNTED);
    journal.directory.u32(this.#queue.id);
    journal.directory.f64(number);
    journal.directory.u32(deliveries);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'delayed-not-in-checkpoint',
    bug: 'a checkpoint leaves out the messages that are not due yet',
    patches: [
      {
        file: `${engine}/journal/checkpoint.ts`,
        find: 'manifest.u32(messages.pages.length);\n    for (const page of messages.pages) {',
        replace: 'manifest.u32(0);\n    for (const page of []) {',
      },
    ],
  },
  {
    name: 'due-again-after-checkpoint',
    bug: 'a checkpoint does not say which delayed messages became ready',
    patches: [
      { file: `${engine}/journal/checkpoint.ts`, find: 'page.writeGone(manifest);', replace: 'manifest.u32(0);' },
    ],
  },
  {
    name: 'due-not-journalled',
    bug: 'that a delayed message became ready is not written',
    patches: [
      {
        file: `${engine}/queue-notes.ts`,
        find: `    journal.directory.u8(EntryKind.DUE);
    journal.directory.u32(this.#queue.id);
    journal.directory.f64(this.#queue.next);
    journal.directory.u32(numbers.length);
    for (const number of numbers) journal.directory.f64(number);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'due-delivered-early',
    bug: 'a delayed message is delivered before it is durable that it became ready',
    patches: [{ file: `${engine}/level.ts`, find: 'this.endBefore = this.end;\n    if', replace: 'if' }],
  },
  {
    name: 'sequence-in-memory',
    bug: "a producer's last sequence is not written with its message",
    patches: [
      {
        file: `${engine}/identities.ts`,
        find: 'this.#noteProducer(identity.producer, identity.epoch, identity.sequence);',
        replace: '',
      },
    ],
  },
  {
    name: 'ids-in-memory',
    bug: 'a message id is not written with its message',
    patches: [
      { file: `${engine}/identities.ts`, find: 'if (durable) this.#noteId(scope, hash, at, windowMs);', replace: '' },
    ],
  },
  {
    name: 'stream-delivered-early',
    bug: 'a stream delivers what is not durable yet',
    patches: [
      {
        file: `${engine}/stream.ts`,
        find: 'this.replayed(first, bytes, storedAt);\n    this.changed();',
        replace: 'this.replayed(first, bytes, storedAt);\n    this.changed();\n    this.marked(this.queue.next);',
      },
    ],
  },
  {
    name: 'stream-numbered-anew',
    bug: 'after a start a stream whose messages are all gone begins with its first number again',
    patches: [
      {
        file: `${engine}/stream.ts`,
        find: 'this.end = queue.next;',
        replace: 'if (queue.ready === 0) queue.next = 1;\n    this.end = queue.next;',
      },
    ],
  },
  {
    name: 'key-shared',
    bug: 'a message goes to whose turn it is though another has its key',
    patches: [
      {
        file: `${engine}/grouped-dispatch.ts`,
        find: 'if (group.draining) return null;\n    if (group.owner === owner) return consumer;',
        replace: 'if (group.key !== 0) return consumer;',
      },
    ],
  },
  {
    name: 'key-not-drained',
    bug: 'what was given back goes again while its consumer has more of its key',
    patches: [{ file: `${engine}/queue-groups.ts`, find: 'group.draining = true;', replace: '' }],
  },
  {
    name: 'parked-not-announced',
    bug: 'what came back and was passed over is delivered before that is counted durably',
    patches: [
      {
        file: `${engine}/grouped-dispatch.ts`,
        find: 'if (parked.announcedIn > queue.host.journal.synced) return WAITS;',
        replace: '',
      },
    ],
  },
  {
    name: 'parked-counted',
    bug: 'after a clean stop what was passed over counts as delivered',
    patches: [
      {
        file: `${engine}/queue.ts`,
        find: 'level.returned.push(number);\n        this.counts.set(number, deliveries);\n        this.notes.counted(number, deliveries);',
        replace: 'level.returned.push(number);',
      },
    ],
  },
];
