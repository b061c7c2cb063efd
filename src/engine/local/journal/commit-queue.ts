/**
 * Who is told when what was journalled is durable, in the order in which it was: commits wait for their group, or for the one before it
 * if they need none of their own.
 */
import type { EngineError } from '../../errors.ts';
import type { ClosedGroup, PendingCommit } from './group-store.ts';

export class CommitQueue {
  /** Every group up to this sequence is durable. */
  synced: number;
  /** Of closed groups: bytes that are not durable yet. */
  waitingBytes = 0;
  readonly #pending: ClosedGroup[] = [];
  /** Of the open group. */
  #open: PendingCommit[] = [];
  /** Of no group: nothing of theirs must be durable. Told in a turn of their own, behind what was committed before. */
  #early: PendingCommit[] = [];
  #waiting: { readonly sequence: number; readonly done: (error: EngineError | null) => void }[] = [];

  constructor(synced: number) {
    this.synced = synced;
  }

  /** No group is on its way. */
  get isIdle(): boolean {
    return this.#pending.length === 0;
  }

  /** Behind the open group. */
  add(commit: PendingCommit): void {
    if (this.#early.length > 0) this.#open.push(...this.#takeEarly());
    this.#open.push(commit);
  }

  /** Behind the last closed group. False: none is on its way, so `tellEarly` is to be called soon. */
  addEarly(commit: PendingCommit): boolean {
    if (this.isIdle) {
      this.#early.push(commit);
      return false;
    }
    const { commits } = this.#pending[this.#pending.length - 1]!;
    // An earlier one may not have been handed to a group yet.
    if (this.#early.length > 0) commits.push(...this.#takeEarly());
    commits.push(commit);
    return true;
  }

  tellEarly(): void {
    if (this.#early.length === 0) return;
    // Nearly always there is one, and no new list is to be made for the next.
    if (this.#early.length === 1 && this.isIdle) {
      const { receiver, token, outcomes } = this.#early.pop()!;
      receiver.committed(token, outcomes);
      return;
    }
    const early = this.#takeEarly();
    if (this.isIdle) for (const { receiver, token, outcomes } of early) receiver.committed(token, outcomes);
    else this.#pending[this.#pending.length - 1]!.commits.push(...early);
  }

  /** Those of the open group, which is being closed. */
  takeOpen(): PendingCommit[] {
    const commits = this.#open;
    this.#open = [];
    return commits;
  }

  closed(group: ClosedGroup): void {
    this.#pending.push(group);
    this.waitingBytes += group.bytes;
  }

  /** Calls `done` once the group of that sequence is durable. */
  whenSynced(sequence: number, done: (error: EngineError | null) => void): void {
    this.#waiting.push({ sequence, done });
  }

  /** The oldest group is durable. */
  written(group: ClosedGroup): void {
    this.#pending.shift();
    this.synced = group.sequence;
    this.waitingBytes -= group.bytes;
    group.block.pins--;
    for (const mark of group.marks) mark.queue.marked(mark);
    for (const { receiver, token, outcomes } of group.commits) receiver.committed(token, outcomes);
    while (this.#waiting.length > 0 && this.#waiting[0]!.sequence <= this.synced) this.#waiting.shift()!.done(null);
  }

  /** Nothing will be durable any more. */
  fail(error: EngineError): void {
    const commits = [...this.#pending.flatMap((group) => group.commits), ...this.takeOpen(), ...this.#takeEarly()];
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { receiver, token } of commits) receiver.failed(token, error);
    for (const { done } of waiting) done(error);
  }

  #takeEarly(): PendingCommit[] {
    const early = this.#early;
    if (early.length > 0) this.#early = [];
    return early;
  }
}
