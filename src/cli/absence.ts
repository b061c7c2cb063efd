/** A broker that is away: whoever types a command doesn't wait for it as long as a service does. */
import { PostriderError } from '../api/errors.ts';
import type { Mq } from '../api/mq.ts';
import { patienceMs } from './patience.ts';

export class Absence {
  /** Why the connection was lost, while it is. */
  why: PostriderError | null = null;
  /** Called when it was lost, and when it is back. */
  changed: () => void = () => undefined;

  constructor(mq: Mq) {
    mq.on('disconnected', (error) => this.#change(error));
    mq.on('reconnected', () => this.#change(null));
  }

  /** As `work` ends, or with why the broker is away once that takes too long. @throws PostriderError */
  async endWait<T>(work: Promise<T>): Promise<T> {
    let late: NodeJS.Timeout | undefined;
    const away = new Promise<never>((_resolve, reject) => {
      this.changed = () => {
        clearTimeout(late);
        const { why } = this;
        late = why === null ? undefined : setTimeout(() => reject(tooLong(why)), patienceMs);
      };
    });
    this.changed();
    try {
      return await Promise.race([work, away]);
    } finally {
      this.changed = () => undefined;
      clearTimeout(late);
    }
  }

  #change(why: PostriderError | null): void {
    this.why = why;
    this.changed();
  }
}

export function tooLong({ code, message }: PostriderError): PostriderError {
  return new PostriderError(code, `${message}; it was not back within ${patienceMs / 1_000} seconds`);
}
