import type { EngineQueue } from '../../engine/engine.ts';

/** Which queues have dead letters on their way: until they have arrived, the queue must not end by itself (x-expires, auto-delete), or they would go with it. */
export class LettersUnderWay {
  readonly #counts = new Map<EngineQueue, number>();

  readonly #waiting = new Map<EngineQueue, () => void>();

  has(queue: EngineQueue): boolean {
    return this.#counts.has(queue);
  }

  /** One, or several that `end` together. */
  begin(queue: EngineQueue): void {
    this.#counts.set(queue, (this.#counts.get(queue) ?? 0) + 1);
  }

  end(queue: EngineQueue): void {
    const left = (this.#counts.get(queue) ?? 0) - 1;
    if (left > 0) this.#counts.set(queue, left);
    else this.#ended(queue);
  }

  /** Has `task`, the only one of the queue, done when none is under way any more; never if the broker is closed before. */
  whenNone(queue: EngineQueue, task: () => void): void {
    this.#waiting.set(queue, task);
  }

  #ended(queue: EngineQueue): void {
    this.#counts.delete(queue);
    const task = this.#waiting.get(queue);
    this.#waiting.delete(queue);
    task?.();
  }
}
