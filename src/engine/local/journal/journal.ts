/**
 * Hot path. The open group: messages are written straight into the place where they will be written to disk from and delivered
 * from; what else the group does is noted in its directory. A store (disk or memory) takes closed groups and tells, in order,
 * when each is durable.
 */
import type { EngineError } from '../../errors.ts';
import type { Clock, Timer } from '../../clock.ts';
import type { CommitReceiver, ItemOutcome, MessageView } from '../../engine.ts';
import { copyBytes } from '../../../format/copy.ts';
import {
  MESSAGE_DUE,
  MESSAGE_EXPIRES,
  MESSAGE_HEADER_BYTES,
  RUN_EXPIRES,
  RUN_HEADER_BYTES,
  RUN_MAX_BYTES,
  checksumOfRun,
} from '../run.ts';
import type { Mark } from '../level.ts';
import type { LocalQueue } from '../queue.ts';
import type { LocalTargets } from '../targets.ts';
import type { Block, Window } from '../window.ts';
import { CommitQueue } from './commit-queue.ts';
import { EntryKind, EntryWriter, RUN_FLAG_DUE, RUN_FLAG_EXPIRES } from './directory.ts';
import { GROUP_HEADER_BYTES, GROUP_TRAILER_BYTES, finishGroup } from './group.ts';
import { ClosedGroup, type GroupStore, type Place } from './group-store.ts';

/** Room kept in a block for what closing a group adds beyond what was counted. */
const CLOSING_BYTES = 4096;
/** Queues that one entry of the directory names. */
const MOST_TARGETS = 0xffff;
/** A microtask by it costs half of what `queueMicrotask` takes, which makes a resource to be traced. */
const soon = Promise.resolve();

export class Journal {
  readonly window: Window;
  readonly clock: Clock;
  readonly directory = new EntryWriter();
  /** Of the open group. */
  sequence: number;
  /** While set, the open group must not be closed: its items belong together. */
  atomic = false;
  /** The disk is full: an append may be refused. */
  full = false;
  /** Directory bytes that will be written when the group is closed. */
  promisedBytes = 0;

  readonly #store: GroupStore;
  readonly #commits: CommitQueue;
  #dirty: LocalQueue[] = [];
  #place: Place | null = null;
  #closedTo: Place | null = null;
  #block: Block | null = null;
  #start = 0;
  #at = 0;
  #limit = 0;
  /** Where the open group must end, in its segment: behind the segment's end if it can't be divided and is larger. */
  #groupEnd = 0;
  /** While the disk is full: how far appends may fill the segment, how far what compaction moves, and how far counts of deliveries. */
  #appendsBelow = Infinity;
  #movesBelow = Infinity;
  #countsBelow = Infinity;
  #mustSync = false;
  #scheduled = false;
  #telling = false;
  #lazy: Timer | null = null;
  #stopped = false;
  #failure: EngineError | null = null;

  // The run being written.
  #targets: LocalTargets | null = null;
  #priority = 0;
  #runStart = 0;
  #runCount = 0;
  #runBodyBytes = 0;
  #runFlags = 0;

  constructor(store: GroupStore, window: Window, clock: Clock, sequence: number) {
    this.#store = store;
    this.window = window;
    this.clock = clock;
    this.sequence = sequence;
    this.#commits = new CommitQueue(sequence - 1);
  }

  /** Continues behind what recovery found. */
  resume(sequence: number): void {
    this.sequence = sequence;
    this.#commits.synced = sequence - 1;
  }

  /** Every group up to this sequence is durable. */
  get synced(): number {
    return this.#commits.synced;
  }

  /** Bytes that are not durable yet. */
  get waitingBytes(): number {
    return this.#commits.waitingBytes;
  }

  get volatile(): boolean {
    return this.#store.volatile;
  }

  /** Messages of the run being written: they are not in their queues' counts yet. */
  get openRunCount(): number {
    return this.#runCount;
  }

  /** Whether the run being written goes to these targets. */
  openRunIs(targets: LocalTargets): boolean {
    return this.#targets === targets;
  }

  get openRunBytes(): number {
    return this.#runBodyBytes;
  }

  get isIdle(): boolean {
    return this.#commits.isIdle && !this.#mustSync;
  }

  get failure(): EngineError | null {
    return this.#failure;
  }

  /** Writes one message; it gets its numbers when its run ends. */
  append(targets: LocalTargets, message: MessageView): void {
    const propertiesLength = message.propertiesEnd - message.propertiesStart;
    const bodyLength = message.bodyEnd - message.bodyStart;
    let flags = 0;
    let size = MESSAGE_HEADER_BYTES + propertiesLength + bodyLength;
    if (message.expiresAt !== 0) {
      flags = MESSAGE_EXPIRES;
      size += 8;
    }
    if (message.dueAt !== 0) {
      flags |= MESSAGE_DUE;
      size += 8;
    }
    if (
      this.#targets !== targets ||
      this.#at + size > this.#limit - this.directory.length - this.promisedBytes ||
      this.#at - this.#runStart + size > RUN_MAX_BYTES ||
      this.#priority !== message.priority ||
      message.dueAt !== 0
    ) {
      this.#beginRun(targets, message, size);
    }
    const block = this.#block!;
    const view = block.view;
    const buffer = block.buffer;
    let at = this.#at;
    view.setUint32(at, bodyLength, true);
    view.setUint32(at + 4, propertiesLength | (flags << 24), true);
    at += MESSAGE_HEADER_BYTES;
    if (flags !== 0) {
      if ((flags & MESSAGE_EXPIRES) !== 0) {
        view.setFloat64(at, message.expiresAt, true);
        at += 8;
        this.#runFlags |= RUN_EXPIRES;
      }
      if ((flags & MESSAGE_DUE) !== 0) {
        view.setFloat64(at, message.dueAt, true);
        at += 8;
      }
    }
    at = copyBytes(message.head, message.propertiesStart, message.propertiesEnd, buffer, view, at);
    at = copyBytes(message.body, message.bodyStart, message.bodyEnd, buffer, view, at);
    this.#at = at;
    this.#runCount++;
    this.#runBodyBytes += bodyLength;
    if ((flags & MESSAGE_DUE) !== 0) this.endRun(message.dueAt);
  }

  /** Gives the run's messages to their queues. */
  endRun(dueAt = 0): void {
    const targets = this.#targets;
    if (targets === null) return;
    this.#targets = null;
    const { buffer, view } = this.#block!;
    const start = this.#runStart;
    const count = this.#runCount;
    const aligned = (this.#at + 7) & ~7;
    buffer.fill(0, this.#at, aligned);
    this.#at = aligned;
    const length = aligned - start;
    view.setUint32(start, length, true);
    view.setUint32(start + 8, count, true);
    view.setUint8(start + 13, this.#runFlags);
    const volatile = this.#store.volatile;
    const directory = this.directory;
    const queues = targets.queues.length;
    const crc = volatile ? 0 : checksumOfRun(buffer, start, length);
    view.setUint32(start + 4, crc, true);
    let named = 0;
    let segment = this.#block!.segment;
    let offset = this.#block!.start + start;
    const expires = (this.#runFlags & RUN_EXPIRES) !== 0;
    if (dueAt !== 0 && volatile) {
      ({ segment, offset } = this.#store.putAside!(buffer, start, length, targets.queues));
      this.#at = start;
    }
    for (const queue of targets.queues) {
      if (!volatile) {
        if (named % MOST_TARGETS === 0) {
          directory.u8(EntryKind.RUN);
          directory.u32(start - this.#start);
          directory.u32(length);
          directory.u32(crc);
          directory.u32(count);
          directory.u32(this.#runBodyBytes);
          directory.u8((this.#runFlags & RUN_EXPIRES ? RUN_FLAG_EXPIRES : 0) | (dueAt === 0 ? 0 : RUN_FLAG_DUE));
          directory.u8(this.#priority);
          if (dueAt !== 0) directory.f64(dueAt);
          directory.u16(Math.min(MOST_TARGETS, queues - named));
        }
        named++;
        directory.u32(queue.id);
        directory.f64(dueAt === 0 ? queue.next : queue.delayed.messages.next);
      }
      if (dueAt === 0) queue.appendRun(count, this.#runBodyBytes, this.#priority, segment, offset, expires);
      else queue.delayed.append(dueAt, this.#priority, segment, offset, expires, this.#runBodyBytes);
    }
    if (dueAt === 0) this.#block!.deliverable = true;
    this.#block!.used = this.#at;
    this.#runCount = 0;
    this.#runBodyBytes = 0;
  }

  /** Copies the messages [from, to) of a run's bytes as a run of its own, for compaction. Returns its offset in the group. */
  copyRun(
    head: Buffer,
    count: number,
    messages: Buffer,
  ): { readonly segment: number; readonly offset: number; readonly inGroup: number } {
    this.endRun();
    const length = (head.length + messages.length + 7) & ~7;
    this.#room(length + 64);
    const { buffer, view } = this.#block!;
    const start = this.#at;
    buffer.set(head, start);
    buffer.set(messages, start + head.length);
    buffer.fill(0, start + head.length + messages.length, start + length);
    view.setUint32(start, length, true);
    view.setUint32(start + 8, count, true);
    const crc = checksumOfRun(buffer, start, length);
    view.setUint32(start + 4, crc, true);
    this.#at = start + length;
    this.#block!.used = this.#at;
    const directory = this.directory;
    directory.u8(EntryKind.RUN);
    directory.u32(start - this.#start);
    directory.u32(length);
    directory.u32(crc);
    directory.u32(count);
    directory.u32(0);
    directory.u8(0);
    directory.u8(0);
    directory.u16(0);
    return { segment: this.#block!.segment, offset: this.#block!.start + start, inGroup: start - this.#start };
  }

  /** What `fill` writes stands in one group. */
  whole<T>(fill: () => T): T {
    this.endRun();
    const before = this.atomic;
    this.atomic = true;
    try {
      return fill();
    } finally {
      this.atomic = before;
    }
  }

  /**
   * While the disk is full, appends may fill the segment in use up to `below`, compaction and what is due up to `movesBelow`, counts of what
   * is delivered again up to `countsBelow`; Infinity: it is not full. Said by the store.
   */
  limitAppends(below: number, movesBelow: number, countsBelow: number): void {
    this.full = below !== Infinity;
    this.#appendsBelow = below;
    this.#movesBelow = movesBelow;
    this.#countsBelow = countsBelow;
  }

  /** Whether so many bytes of appends have their space, and leave settlements theirs. */
  takes(bytes: number): boolean {
    return this.#openEnd() + bytes <= this.#appendsBelow;
  }

  /** The same of what compaction moves, and of what is due: that makes space in the end. */
  takesMoved(bytes: number): boolean {
    return this.#openEnd() + bytes <= this.#movesBelow;
  }

  /** The same of counts: a message that comes back at once, again and again, would fill what settlements have. */
  takesCounts(bytes: number): boolean {
    return this.#openEnd() + bytes <= this.#countsBelow;
  }

  /** Where the open group would end now, in its segment. */
  #openEnd(): number {
    const block = this.#block;
    const tail = block === null ? (this.#place?.offset ?? 0) : block.start + this.#at;
    return tail + this.directory.length + this.promisedBytes;
  }

  /** What a message takes in a group, with a run of its own. */
  bytesOf(targets: LocalTargets, message: MessageView): number {
    const properties = message.propertiesEnd - message.propertiesStart;
    const body = message.bodyEnd - message.bodyStart;
    const entry = 48 + 12 * targets.queues.length;
    return RUN_HEADER_BYTES + targets.envelope.length + MESSAGE_HEADER_BYTES + 16 + properties + body + 8 + entry;
  }

  /** Makes sure that a directory entry of this size fits into the open group. */
  entryRoom(bytes: number): void {
    this.endRun();
    this.#room(bytes);
  }

  /** Makes sure that items of this many bytes, which belong together, find room in one group without dividing or growing it. */
  roomTogether(bytes: number): void {
    this.endRun();
    this.#room(bytes);
  }

  /** The queue has something to note when the group is closed. */
  dirty(queue: LocalQueue): void {
    this.#dirty.push(queue);
  }

  /** The group has something that somebody waits for. */
  mustSync(): void {
    this.#mustSync = true;
    this.schedule();
  }

  commit(
    receiver: CommitReceiver<unknown>,
    token: unknown,
    outcomes: readonly ItemOutcome[] | null,
    durable: boolean,
  ): void {
    this.endRun();
    const failure = this.#failure;
    if (failure !== null) {
      this.clock.defer(() => receiver.failed(token, failure));
      return;
    }
    const commit = { receiver, token, outcomes };
    if (durable) this.#mustSync = true;
    if (this.#mustSync) {
      this.#commits.add(commit);
      this.schedule();
    } else if (!this.#commits.addEarly(commit)) {
      this.#tellSoon();
    }
  }

  /** Nothing on disk is waited for: neither is the end of a turn in which thousands of others may be served. */
  #tellSoon(): void {
    if (this.#telling) return;
    this.#telling = true;
    void soon.then(this.#tell);
  }

  readonly #tell = (): void => {
    this.#telling = false;
    if (this.#failure === null && !this.#stopped) this.#commits.tellEarly();
  };

  /** Calls `done` once everything noted so far is durable. */
  whenSynced(done: (error: EngineError | null) => void): void {
    this.endRun();
    if (this.#failure !== null) {
      this.clock.defer(() => done(this.#failure));
      return;
    }
    if (this.#hasContent()) this.mustSync();
    if (this.isIdle) {
      this.clock.defer(() => done(this.#failure));
      return;
    }
    this.#commits.whenSynced(this.#mustSync ? this.sequence : this.sequence - 1, done);
  }

  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.clock.defer(() => {
      this.#scheduled = false;
      this.#turn();
    });
  }

  /** What is noted may wait a while: nobody needs it before the next group. */
  scheduleLazily(): void {
    if (this.#lazy !== null || this.#mustSync || this.#stopped || this.#failure !== null) return;
    this.#lazy = this.clock.after(100, () => {
      this.#lazy = null;
      if (this.#hasContent()) this.mustSync();
    });
  }

  #forgetLazy(): void {
    this.#lazy?.cancel();
    this.#lazy = null;
  }

  /** Closes the open group, if it holds anything. */
  closeGroup(): void {
    this.endRun();
    if (!this.#hasContent()) return;
    if (this.#isBare() && this.#at + this.#noteBytes() > this.#groupLimit() + CLOSING_BYTES) this.#leaveBlock();
    if (this.#block === null) this.#openBlock(GROUP_HEADER_BYTES + this.#noteBytes());
    const marks: Mark[] = [];
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const queue of dirty) queue.note(this.directory, marks);
    const directory = this.directory;
    let block = this.#block!;
    let start = this.#start;
    const length = (this.#at - start + directory.length + GROUP_TRAILER_BYTES + 7) & ~7;
    if (start + length > block.buffer.length) {
      this.#grow(length);
      block = this.#block!;
      start = this.#start;
    }
    const end = start + length;
    if (!this.#store.volatile) {
      directory.buffer.copy(block.buffer, this.#at, 0, directory.length);
      block.buffer.fill(0, this.#at + directory.length, end - GROUP_TRAILER_BYTES);
      finishGroup(block.buffer, start, {
        length,
        sequence: this.sequence,
        segment: block.segment,
        offset: block.start + start,
        directoryStart: this.#at - start,
        directoryLength: directory.length,
      });
    }
    directory.clear();
    this.promisedBytes = 0;
    block.used = end;
    block.pins++;
    const group = new ClosedGroup(this.sequence, block, start, end, this.#commits.takeOpen(), marks);
    this.#mustSync = false;
    this.#commits.closed(group);
    this.sequence++;
    this.#place = { segment: block.segment, offset: block.start + end, end: this.#place!.end };
    this.#closedTo = this.#place;
    this.#begin(end);
    this.#store.write(group);
  }

  /** The store's word that the oldest group is durable. */
  written(group: ClosedGroup): void {
    this.window.recycle();
    this.#commits.written(group);
    this.#letGo(group.block);
  }

  /** The store is free for another write. */
  drained(): void {
    if (this.#mustSync && !this.#scheduled) this.#turn();
  }

  /** The store is closed: nothing is written any more. */
  stop(): void {
    this.#stopped = true;
    this.#forgetLazy();
  }

  /** Nothing will be durable any more. */
  fail(error: EngineError): void {
    this.#failure = error;
    this.#forgetLazy();
    this.#commits.fail(error);
  }

  /** Where the next group will begin. */
  get tail(): Place | null {
    return this.#place;
  }

  /** Where the last group ends, which is in a segment that it can't be without. The next may begin in one that is being made. */
  get closedTo(): Place | null {
    return this.#closedTo;
  }

  #turn(): void {
    if (this.#failure !== null || this.#stopped) return;
    this.window.recycle();
    if (this.#mustSync && (this.#commits.isIdle || this.#store.volatile)) this.closeGroup();
  }

  #hasContent(): boolean {
    return (
      this.directory.length > 0 ||
      this.#dirty.length > 0 ||
      this.#mustSync ||
      (this.#block !== null && this.#at > this.#start + GROUP_HEADER_BYTES)
    );
  }

  #beginRun(targets: LocalTargets, message: MessageView, size: number): void {
    this.endRun();
    const envelope = targets.envelope;
    const entry = 40 + 12 * targets.queues.length;
    this.#room(RUN_HEADER_BYTES + envelope.length + size + 8 + entry);
    const { buffer, view } = this.#block!;
    const start = this.#at;
    view.setUint8(start + 12, message.priority);
    view.setUint8(start + 13, 0);
    view.setUint16(start + 14, envelope.length, true);
    view.setFloat64(start + 16, this.clock.now(), true);
    buffer.set(envelope, start + RUN_HEADER_BYTES);
    this.#targets = targets;
    this.#priority = message.priority;
    this.#runStart = start;
    this.#runFlags = 0;
    this.#at = start + RUN_HEADER_BYTES + envelope.length;
    this.#limit = this.#groupLimit() - entry - 8;
  }

  /** Makes room for `bytes` more in the open group, closing it or moving to another block where needed. */
  #room(bytes: number): void {
    if (this.#block !== null && this.#at + bytes + this.directory.length + this.promisedBytes <= this.#groupLimit())
      return;
    const needed = bytes + this.directory.length + this.promisedBytes + CLOSING_BYTES;
    if (this.#block !== null && this.#hasContent()) {
      if (this.atomic) {
        this.#grow(this.#at - this.#start + needed);
        return;
      }
      this.closeGroup();
      this.#room(bytes);
      return;
    }
    this.#openBlock(GROUP_HEADER_BYTES + needed);
  }

  /** Begins a group at the tail, in a block of its own, with room for `minBytes`. */
  #openBlock(minBytes: number): void {
    if (this.#block !== null) this.#leaveBlock();
    const place = this.#store.place(this.#place, minBytes);
    this.#place = place;
    this.#block = this.window.open(place.segment, place.offset, minBytes);
    this.#block.pins++;
    this.#start = 0;
    this.#at = GROUP_HEADER_BYTES;
    this.#groupEnd = Math.max(place.end, place.offset + minBytes);
  }

  #groupLimit(): number {
    const block = this.#block!;
    return Math.min(block.buffer.length, this.#groupEnd - block.start) - CLOSING_BYTES;
  }

  /** What a group takes besides its header that holds nothing but notes: they may have what is else kept for closing it. */
  #noteBytes(): number {
    return this.directory.length + this.promisedBytes + 2 * GROUP_TRAILER_BYTES;
  }

  /** Nothing is in the open group but what its queues will note. */
  #isBare(): boolean {
    return this.#block !== null && this.directory.length === 0 && this.#at === this.#start + GROUP_HEADER_BYTES;
  }

  /** Stands at the beginning of a group at `start` of the block; a block that is nearly full is left. */
  #begin(start: number): void {
    if (start + GROUP_HEADER_BYTES + CLOSING_BYTES > this.#block!.buffer.length) {
      this.#leaveBlock();
      return;
    }
    this.#start = start;
    this.#at = start + GROUP_HEADER_BYTES;
    this.#groupEnd = this.#place!.end;
  }

  #leaveBlock(): void {
    const block = this.#block!;
    block.pins--;
    this.#block = null;
    this.#letGo(block);
  }

  /** What is delayed is read from the disk when it is due, and settlements never are: a block of them alone would only keep others out of the window. */
  #letGo(block: Block): void {
    if (block.pins === 0 && !block.deliverable && block.live && !this.volatile) this.window.drop(block);
  }

  /** Moves the open group, which must stay one, to a block of its own that holds at least `bytes`. Its place in the segment stays. */
  #grow(bytes: number): void {
    const old = this.#block!;
    const start = this.#start;
    const wanted = Math.max(bytes + CLOSING_BYTES, 2 * (this.#at - start), this.window.blockBytes);
    const block = this.window.open(old.segment, old.start + start, wanted);
    block.pins++;
    old.pins--;
    old.buffer.copy(block.buffer, 0, start, this.#at);
    block.deliverable = old.deliverable;
    if (this.#targets !== null) this.#runStart -= start;
    this.#at -= start;
    this.#start = 0;
    old.used = start;
    block.used = this.#at;
    this.#block = block;
    this.#groupEnd = Math.max(this.#groupEnd, block.start + bytes + CLOSING_BYTES);
    if (old.pins === 0 && start === 0) this.window.drop(old);
  }
}
