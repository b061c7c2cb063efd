/** Where a segment's groups put messages: each run of each queue, as the directories say. */
import { readDirectory } from './directory.ts';
import { readGroup } from './group.ts';
import { SEGMENT_HEADER_BYTES, readSegmentHeader } from './segment-file.ts';

export interface Placement {
  readonly queue: number;
  /** The number is one among the queue's delayed messages, and the message may have become ready since. */
  readonly delayed: boolean;
  readonly first: number;
  readonly count: number;
  /** Of the run, in the segment. */
  readonly offset: number;
}

/** Between them, after each group, for how many bytes of directory that was. @throws RangeError at the first group that is not whole, though messages may lie behind it; it says where */
export function* placementsOf(bytes: Buffer, segment: number, lastSequence: number): Generator<Placement | number> {
  const { salt } = readSegmentHeader(bytes, segment);
  if (salt === null) throw new RangeError('its header is not what was written');
  let offset = SEGMENT_HEADER_BYTES;
  for (;;) {
    const header = readGroup(bytes, offset, segment, offset, salt);
    if (header === null) throw new RangeError(`no whole group stands at byte ${offset}`);
    const runs = new Map<number, number>();
    for (const entry of readDirectory(bytes, offset + header.directoryStart, header.directoryLength)) {
      if (entry.kind === 'run') {
        runs.set(entry.offset, entry.count);
        for (const { queue, first } of entry.targets)
          yield { queue, delayed: entry.dueAt !== 0, first, count: entry.count, offset: offset + entry.offset };
      } else if (entry.kind === 'moved') {
        for (const piece of entry.pieces)
          yield { ...piece, queue: entry.queue, delayed: entry.delayed, offset: offset + piece.offset };
      }
    }
    if (header.sequence >= lastSequence) return;
    yield header.directoryLength;
    offset += header.length;
  }
}
