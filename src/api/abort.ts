import { setMaxListeners } from 'node:events';
import { PostriderError } from './errors.ts';

/** @throws PostriderError ABORTED */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted === true) throw aborted(signal, what);
}

export function aborted(signal: AbortSignal, what: string): PostriderError {
  return new PostriderError('ABORTED', `${what} was aborted by its signal`, { cause: signal.reason });
}

/** The promise, or ABORTED as soon as the signal says so. */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined, what: string): Promise<T> {
  if (signal === undefined) return work;
  if (signal.aborted) {
    work.catch(() => undefined);
    throw aborted(signal, what);
  }
  let stop!: () => void;
  const abort = new Promise<never>((_resolve, reject) => {
    stop = () => reject(aborted(signal, what));
    listenTo(signal, stop);
  });
  try {
    return await Promise.race([work, abort]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

const known = new WeakSet<AbortSignal>();

/** One signal may end a thousand publishes: that is no leak, of which Node would warn. */
export function listenTo(signal: AbortSignal, stop: () => void): void {
  if (!known.has(signal)) {
    known.add(signal);
    setMaxListeners(0, signal);
  }
  signal.addEventListener('abort', stop, { once: true });
}
