/**
 * Virtual time. Everything that happens in a simulation is an event here, run one at a time in order of (time, issue);
 * between two events all promise continuations run to their end, so a seed has exactly one history.
 */

/** Whose events these are: a simulated process. When it dies, its events never run. */
export interface Owner {
  dead: boolean;
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly owner: Owner;
  task: (() => void) | null;
}

/** Virtual time stands still at noon of a fixed day when a simulation begins. */
const epochMs = 1_790_000_000_000;

export class Scheduler {
  /** Microseconds since the simulation began. */
  nowUs = 0;
  /** Events run so far: the simulation's step counter. */
  steps = 0;
  /** No more are run: whoever needs so many does not come to rest. */
  mostSteps = Infinity;
  /** What an event threw, if any: a bug of the engine or of the simulation. */
  thrown: unknown = null;
  readonly #heap: Event[] = [];
  #issued = 0;

  nowMs(): number {
    return epochMs + Math.floor(this.nowUs / 1000);
  }

  /** Runs `task` after `delayUs`. Returns a function that withdraws it. */
  at(delayUs: number, owner: Owner, task: () => void): () => void {
    const event: Event = { at: this.nowUs + Math.max(0, delayUs), order: this.#issued++, owner, task };
    this.#push(event);
    return () => {
      event.task = null;
    };
  }

  /**
   * Runs events until `done()` holds (checked before each), time would pass `deadlineUs`, `maxSteps` events ran, or nothing is left.
   */
  drive(done: () => boolean, deadlineUs: number, maxSteps = Infinity): Promise<'done' | 'deadline' | 'steps' | 'idle'> {
    const lastStep = Math.min(this.steps + maxSteps, this.mostSteps);
    return new Promise((resolve) => {
      // A tick begins only when no continuation is left, and costs far less than a turn of the event loop.
      const next = (): void => {
        process.nextTick(turn);
      };
      const turn = (): void => {
        if (done()) {
          resolve('done');
          return;
        }
        if (this.steps >= lastStep) {
          resolve('steps');
          return;
        }
        const event = this.#peek();
        if (event === undefined) {
          resolve('idle');
          return;
        }
        if (event.at > deadlineUs) {
          this.nowUs = Math.max(this.nowUs, deadlineUs);
          resolve('deadline');
          return;
        }
        this.#pop();
        this.nowUs = event.at;
        this.steps++;
        const task = event.task!;
        event.task = null;
        try {
          task();
        } catch (error) {
          this.thrown ??= error;
        }
        queueMicrotask(next);
      };
      next();
    });
  }

  /** Lets every promise continuation run to its end: what a process has begun at this moment, it also finishes. */
  settle(): Promise<void> {
    return new Promise((resolve) => process.nextTick(resolve));
  }

  #peek(): Event | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || (first.task !== null && !first.owner.dead)) return first;
      this.#pop();
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
