/** Hot path: which publishes a commit covers, and the confirms that it lets go out. */
import { RefusedMessages, type Broker, type ItemOutcome, type MessageView, type Route } from '../../broker/index.ts';
import type { Channel } from './channel.ts';

/** Neighbouring publishes of one channel, whose items are neighbours as well. */
interface Run {
  channel: Channel;
  firstSequence: number;
  lastSequence: number;
  /** -1: unroutable publishes, which have no item. */
  firstItem: number;
}

const spare: CommitToken[] = [];
const maxSpare = 64;

/** Which publishes a commit covers. Pooled: nothing is made per message, nor per commit once it runs. */
export class CommitToken {
  readonly #runs: Run[] = [];
  #count = 0;
  /** Null: none may be dead-lettered as it is refused. */
  #refusable: RefusedMessages | null = null;

  static take(): CommitToken {
    return spare.pop() ?? new CommitToken();
  }

  cover(channel: Channel, sequence: number, item: number): void {
    if (this.#count > 0) {
      const last = this.#runs[this.#count - 1]!;
      if (
        last.channel === channel &&
        last.lastSequence + 1 === sequence &&
        (last.firstItem < 0 ? item < 0 : item === last.firstItem + sequence - last.firstSequence)
      ) {
        last.lastSequence = sequence;
        return;
      }
    }
    const run = this.#runs[this.#count];
    if (run === undefined) {
      this.#runs.push({ channel, firstSequence: sequence, lastSequence: sequence, firstItem: item });
    } else {
      run.channel = channel;
      run.firstSequence = sequence;
      run.lastSequence = sequence;
      run.firstItem = item;
    }
    this.#count++;
  }

  /** Keeps a message that is dead-lettered if it is refused. */
  keep(broker: Broker, item: number, route: Route, message: MessageView): void {
    this.#refusable ??= new RefusedMessages(broker);
    this.#refusable.keep(item, route, message);
  }

  /** Dead-letters what was kept and refused. */
  deadLetter(outcomes: readonly ItemOutcome[] | null): void {
    this.#refusable?.answered(outcomes);
  }

  /** Sends what the commit confirms: one ack a channel, unless some items were refused. */
  confirm(outcomes: readonly ItemOutcome[] | null): void {
    if (outcomes !== null) this.#refuse(outcomes);
    // From the end: an ack of a channel's last sequence covers its runs before.
    for (let index = this.#count - 1; index >= 0; index--) {
      const run = this.#runs[index]!;
      run.channel.confirm(run.lastSequence);
    }
  }

  recycle(): void {
    this.#count = 0;
    this.#refusable = null;
    if (spare.length < maxSpare) spare.push(this);
  }

  #refuse(outcomes: readonly ItemOutcome[]): void {
    const refused = outcomes.filter(({ outcome }) => outcome === 'refused').sort((a, b) => a.item - b.item);
    let index = 0;
    for (const { item } of refused) {
      while (index < this.#count && !holds(this.#runs[index]!, item)) index++;
      if (index === this.#count) return;
      const run = this.#runs[index]!;
      run.channel.refuse(run.firstSequence + item - run.firstItem);
    }
  }
}

function holds(run: Run, item: number): boolean {
  if (run.firstItem < 0) return false;
  return item >= run.firstItem && item <= run.firstItem + run.lastSequence - run.firstSequence;
}
