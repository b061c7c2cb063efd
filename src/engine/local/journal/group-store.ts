/** What lies between the journal, which fills groups, and a store, which makes them durable. */
import type { CommitReceiver, ItemOutcome } from '../../engine.ts';
import type { Mark } from '../level.ts';
import type { LocalQueue } from '../queue.ts';
import type { Block } from '../window.ts';

export interface Place {
  readonly segment: number;
  readonly offset: number;
  /** Where the space of the segment ends; a group may only pass it when it can't be divided, and none begins there. */
  readonly end: number;
}

/** Where closed groups go. */
export interface GroupStore {
  /** Where the next group goes, with room for at least `minBytes`. `after` is where the last one ended. */
  place(after: Place | null, minBytes: number): Place;
  /** Takes the group; `Journal.written` is called once it is durable, in the order of these calls. */
  write(group: ClosedGroup): void;
  /** True: directories and checksums are not needed, nothing outlives the process. */
  readonly volatile: boolean;
  /** Where nothing outlives the process: a copy of a delayed message's run, which is about to be appended to these queues, apart from what is published beside it. */
  putAside?(
    buffer: Buffer,
    start: number,
    length: number,
    queues: readonly LocalQueue[],
  ): Pick<Place, 'segment' | 'offset'>;
}

/** A batch, and who is told what became of it. */
export interface PendingCommit {
  readonly receiver: CommitReceiver<unknown>;
  readonly token: unknown;
  readonly outcomes: readonly ItemOutcome[] | null;
}

export class ClosedGroup {
  readonly sequence: number;
  readonly block: Block;
  /** In the block's buffer. */
  readonly start: number;
  readonly end: number;
  readonly commits: PendingCommit[];
  readonly marks: Mark[];

  constructor(sequence: number, block: Block, start: number, end: number, commits: PendingCommit[], marks: Mark[]) {
    this.sequence = sequence;
    this.block = block;
    this.start = start;
    this.end = end;
    this.commits = commits;
    this.marks = marks;
  }

  get offset(): number {
    return this.block.start + this.start;
  }

  get bytes(): number {
    return this.end - this.start;
  }
}
