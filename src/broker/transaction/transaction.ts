/**
 * What a session wants done as one: publishes and settlements, over any number of queues, kept until they are committed as one
 * atomic batch, durable as a whole or not done at all. Until then its deliveries stay held and take their credit.
 *
 * What it rejects from a queue with a dead-letter exchange leaves that queue in the same batch. A dead letter that nobody takes
 * is no reason to refuse the rest: it is dropped, or stays held where it must not be, as without a transaction.
 */
import type { Batch, ItemOutcome, Lease, MessageView, Settlement } from '../../engine/engine.ts';
import { BrokerError } from '../broker-error.ts';
import type { NextLetter } from '../dead-letter/dead-letters.ts';
import type { DeadMessage } from '../dead-letter/dead-message.ts';
import type { Queue } from '../queue.ts';
import type { Route } from '../route.ts';
import type { Session } from '../session.ts';
import { emptyMessage } from '../empty-message.ts';
import { handToLive } from '../subscription/live.ts';
import { KeptMessages } from './kept-messages.ts';
import { KeptSettlements } from './kept-settlements.ts';
import { refusalOf } from './refusal.ts';
import type { TransactionBudget } from './transaction-budget.ts';

const view = emptyMessage();

/** Rejected deliveries are copied so many at once. */
const maxLoaded = 256;

/** A rejected delivery on its way to a dead-letter exchange, and what is to become of it. */
interface Letter {
  readonly message: DeadMessage;
  /** `keep`, `wait`: it stays held, for somebody who takes it or for space on the disk. */
  fate: 'send' | 'drop' | 'keep' | 'wait';
}

export class Transaction {
  readonly #session: Session;
  readonly #budget: TransactionBudget;
  readonly #messages: KeptMessages;
  readonly #settlements = new KeptSettlements();
  #afterwards: (() => void)[] = [];
  /** Of the budget, for what is done afterwards and for dead letters. */
  #otherBytes = 0;
  #over = false;

  constructor(session: Session) {
    this.#session = session;
    this.#budget = session.broker.context.transactions;
    this.#messages = new KeptMessages(this.#budget);
  }

  /** What it settles. */
  deliveries(): Iterable<{ readonly tag: number; readonly holder: number }> {
    return this.#settlements.deliveries();
  }

  /** The lowest delivery tag that it settles; 0: none. */
  get oldest(): number {
    return this.#settlements.oldest;
  }

  /** Hot. Keeps a message that `Session.resolve` has readied. Unroutable: nothing. @throws BrokerError PRECONDITION_FAILED: there is no room */
  publish(route: Route, message: MessageView): void {
    if (route.unroutable) return;
    const fits = this.#messages.add(route, message, this.#now());
    if (!fits || this.#bytes > this.#maxBytes) throw this.#tooLarge();
  }

  /** Has something done once the transaction is durable, for which so many bytes are kept. @throws BrokerError PRECONDITION_FAILED */
  afterwards(bytes: number, task: () => void): void {
    if (!this.#hasRoom(bytes)) throw this.#tooLarge();
    this.#afterwards.push(task);
  }

  /** Hot. False: no such delivery is unacknowledged, or the transaction settles it already. Tag 0 with `multiple`: all there are now. */
  settle(tag: number, multiple: boolean, settlement: Settlement): boolean {
    const { ledger } = this.#session;
    this.#settlements.begin(settlement);
    if (multiple) return ledger.takeEachThrough(tag, this.#settlements);
    const holder = ledger.take(tag);
    if (holder < 0) return false;
    this.#settlements.takeTag(tag, holder, ledger.takenNumber);
    return true;
  }

  /**
   * Resolves once everything is durable; then the next transaction begins.
   * @throws BrokerError PRECONDITION_FAILED: nothing was done, as if it had been rolled back; EngineError: it is unknown
   */
  async commit(): Promise<void> {
    if (this.#messages.count > 0 || this.#settlements.count > 0) {
      try {
        await this.#commit();
      } catch (error) {
        this.rollback();
        throw error;
      }
    }
    const tasks = this.#afterwards;
    this.#clear();
    for (const task of tasks) task();
  }

  /** Publishes are forgotten, and what it would have settled is unacknowledged again. */
  rollback(): void {
    if (!this.#over) this.#session.ledger.putBack(this.#settlements.deliveries());
    this.#clear();
  }

  /** The session ends: what it holds goes back to its queues. */
  end(): void {
    this.#over = true;
    this.#clear();
  }

  get #bytes(): number {
    return this.#messages.bytes + this.#otherBytes;
  }

  get #maxBytes(): number {
    return this.#session.broker.context.settings.maxTransactionBytes;
  }

  #now(): number {
    return this.#session.broker.context.clock.now();
  }

  #clear(): void {
    this.#messages.clear();
    this.#settlements.clear();
    this.#afterwards = [];
    this.#budget.give(this.#otherBytes);
    this.#otherBytes = 0;
  }

  #hasRoom(bytes: number): boolean {
    if (this.#over || !this.#budget.take(bytes)) return false;
    this.#otherBytes += bytes;
    return this.#bytes <= this.#maxBytes;
  }

  #tooLarge(): BrokerError {
    const { maxTransactionBytes, maxTransactionBytesOfAll } = this.#session.broker.context.settings;
    const text =
      this.#bytes > maxTransactionBytes
        ? `transaction is larger than ${maxTransactionBytes} bytes`
        : `open transactions hold ${maxTransactionBytesOfAll} bytes together, and there is no room for more`;
    return new BrokerError('PRECONDITION_FAILED', text);
  }

  async #commit(): Promise<void> {
    const { lettersUnderWay } = this.#session.broker.context;
    const rejected = this.#rejected();
    const queues = Array.from(rejected.keys()).flatMap(({ handle }) => (handle === null ? [] : [handle]));
    // Until they have left it, a queue does not end by itself.
    for (const queue of queues) lettersUnderWay.begin(queue);
    try {
      const letters = await this.#load(rejected);
      while (!(await this.#attempt(letters))) {
        // Again, with another fate for what was refused.
      }
      if (this.#over) return;
      this.#settled();
      this.#hold(letters);
    } finally {
      for (const queue of queues) lettersUnderWay.end(queue);
    }
  }

  /** What goes to dead-letter exchanges. */
  #rejected(): Map<Queue, number[]> {
    const rejected = new Map<Queue, number[]>();
    for (const { holder, settlement, first, count } of this.#settlements.runs()) {
      const { queue } = this.#session.holderAt(holder);
      if (!isLetter(queue, settlement)) continue;
      const numbers = rejected.get(queue) ?? [];
      for (let number = first; number < first + count; number++) numbers.push(number);
      rejected.set(queue, numbers);
    }
    return rejected;
  }

  async #load(rejected: ReadonlyMap<Queue, readonly number[]>): Promise<Letter[]> {
    const letters: Letter[] = [];
    const { deadLetters } = this.#session.broker;
    for (const [{ handle }, numbers] of rejected) {
      for (let at = 0; at < numbers.length; at += maxLoaded) {
        const some = numbers.slice(at, at + maxLoaded);
        if (handle === null) throw stale();
        const messages = await deadLetters.load(handle, this.#lease(), some, (bytes) => this.#hasRoom(bytes));
        if (messages === null) throw this.#tooLarge();
        if (messages.length < some.length) throw stale();
        for (const message of messages) letters.push({ message, fate: 'send' });
      }
    }
    return letters;
  }

  /** True: it is durable. False: dead letters were refused, and nothing was done. */
  async #attempt(letters: readonly Letter[]): Promise<boolean> {
    // It may have ended in the round before, and then there are only the letters left of it.
    if (this.#over) throw stale();
    const lease = this.#settlements.count === 0 ? null : this.#lease();
    const { engine, deadLetters } = this.#session.broker;
    const sent: { readonly letter: Letter; readonly next: NextLetter }[] = [];
    for (const letter of letters) {
      if (letter.fate !== 'send') continue;
      const next = deadLetters.next(letter.message);
      if (next === null) letter.fate = deadLetters.mustKeep(letter.message) ? 'keep' : 'drop';
      else sent.push({ letter, next });
    }
    const batch = engine.begin('required');
    // Settled first: what takes the place of a message is no repeat of it.
    let first = lease === null ? 0 : this.#settleRuns(batch, lease);
    const now = this.#now();
    for (const { message, fate } of letters) {
      if (fate === 'keep' || fate === 'wait') continue;
      batch.settle(message.lease, message.queue, message.number, 1, 'drop');
      first++;
    }
    const appended = this.#appendMessages(batch, now);
    const end = first + appended.length;
    for (const { next } of sent) if (next.targets !== null) batch.append(next.targets, next.view, true);
    const refused = await committed(batch);
    if (refused.length === 0) {
      this.#handToLive(now);
      for (const { next } of sent) if (next.route !== null) handToLive(next.route, next.view, null);
      return true;
    }
    const sentToQueues = sent.filter(({ next }) => next.targets !== null);
    for (const outcome of refused) {
      const letter = sentToQueues[outcome.item - end]?.letter;
      if (letter === undefined) throw this.#refused(outcome, first, appended);
      if (outcome.reason === 'full') letter.fate = 'wait';
      else letter.fate = deadLetters.mustKeep(letter.message) ? 'keep' : 'drop';
    }
    return false;
  }

  /** Which message each item is of: those that only subscribers get have none. */
  #appendMessages(batch: Batch, now: number): number[] {
    const messages = this.#messages;
    const { count } = messages;
    const appended: number[] = [];
    for (let index = 0; index < count; index++) {
      const { targets } = messages.route(index);
      if (targets === null) continue;
      messages.read(index, view, now);
      batch.append(targets, view, true);
      appended.push(index);
    }
    return appended;
  }

  /** To subscribers that no queue keeps it for; it is durable elsewhere. */
  #handToLive(now: number): void {
    const messages = this.#messages;
    for (let index = 0; index < messages.count; index++) {
      const route = messages.route(index);
      if (route.live === null) continue;
      messages.read(index, view, now);
      handToLive(route, view, null);
    }
  }

  /** How many items that were. */
  #settleRuns(batch: Batch, lease: Lease): number {
    let items = 0;
    for (const { holder, settlement, first, count } of this.#settlements.runs()) {
      const { queue } = this.#session.holderAt(holder);
      if (isLetter(queue, settlement)) continue;
      batch.settle(lease, queue.handle!, first, count, settlement);
      items++;
    }
    return items;
  }

  #lease(): Lease {
    const { lease } = this.#session;
    if (lease === null || this.#over) throw stale();
    return lease;
  }

  /** `first`: item of the first message. Those before are settlements. */
  #refused({ item, reason }: ItemOutcome, first: number, appended: readonly number[]): BrokerError {
    return item < first ? stale() : refusalOf(reason, this.#messages.route(appended[item - first]!));
  }

  /** The credit that deliveries took is free again. */
  #settled(): void {
    for (const { holder, count } of this.#settlements.runs()) this.#session.holderAt(holder).settled(count);
  }

  #hold(letters: readonly Letter[]): void {
    const { deadLetters } = this.#session.broker;
    for (const { message, fate } of letters) {
      if (fate === 'keep') deadLetters.keep(message);
      else if (fate === 'wait') deadLetters.wait(message);
    }
  }
}

/** What of the batch was refused, once that is known. */
function committed(batch: Batch): Promise<readonly ItemOutcome[]> {
  return new Promise((resolve, reject) => {
    batch.commit(
      {
        committed: (_token, outcomes) => resolve(outcomes?.filter(isRefusal) ?? []),
        failed: (_token, error) => reject(error),
      },
      undefined,
    );
  });
}

/** Rejected, it goes to a dead-letter exchange. */
function isLetter({ settings }: Queue, settlement: Settlement): boolean {
  return settlement === 'drop' && settings.deadLetterExchange !== null;
}

function isRefusal({ outcome }: ItemOutcome): boolean {
  return outcome === 'refused' || outcome === 'stale';
}

function stale(): BrokerError {
  return new BrokerError(
    'PRECONDITION_FAILED',
    'transaction refused: a delivery that it settles is not held any more; nothing was done',
  );
}
