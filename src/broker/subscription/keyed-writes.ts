import type { CommitReceiver, Engine, ItemOutcome } from '../../engine/engine.ts';
import type { EngineError } from '../../engine/errors.ts';
import { BrokerError } from '../broker-error.ts';

interface Waiting {
  readonly values: Map<string, Uint8Array | null>;
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Keyed state that is written from anywhere, a batch of some server's being open or not: what a turn wants goes as one, at its end. */
export class KeyedWrites implements CommitReceiver<Waiting> {
  readonly #engine: Engine;
  #waiting: Waiting | null = null;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Null deletes. The last value of a turn counts. Resolves once it is durable. */
  put(key: string, value: Uint8Array | null): Promise<void> {
    const waiting = (this.#waiting ??= this.#begin());
    // In the order of the last calls.
    waiting.values.delete(key);
    waiting.values.set(key, value);
    return waiting.promise;
  }

  committed({ resolve, reject }: Waiting, outcomes: readonly ItemOutcome[] | null): void {
    const refused = outcomes?.find(({ outcome }) => outcome === 'refused');
    if (refused === undefined) resolve();
    else reject(new BrokerError('INTERNAL_ERROR', `state was not stored: ${refused.reason ?? 'refused'}`));
  }

  failed({ reject }: Waiting, error: EngineError): void {
    reject(error);
  }

  #begin(): Waiting {
    queueMicrotask(() => this.#flush());
    let resolve!: () => void;
    let reject!: (error: Error) => void;
    const promise = new Promise<void>((done, fail) => {
      resolve = done;
      reject = fail;
    });
    return { values: new Map(), promise, resolve, reject };
  }

  #flush(): void {
    const waiting = this.#waiting!;
    this.#waiting = null;
    const batch = this.#engine.begin();
    for (const [key, value] of waiting.values) batch.put(key, value);
    batch.commit(this, waiting);
  }
}
