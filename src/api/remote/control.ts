/** Declarations and questions, one after another on a channel of their own: an error closes that channel, and nobody else's. */
import type { Channel } from 'rabbitmq-client';
import { isLoss, remoteFailure } from './remote-failure.ts';
import type { RemoteConnection } from './remote-connection.ts';

type Question<T> = (channel: Channel) => Promise<T>;

export class Control {
  readonly #connection: RemoteConnection;
  /** How long a question waits for a connection that is down, in its turn or for it. */
  readonly #patienceMs: number;
  #channel: Channel | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(connection: RemoteConnection, patienceMs: number) {
    this.#connection = connection;
    this.#patienceMs = patienceMs;
  }

  /** What may be asked twice is asked again when the connection is lost meanwhile. @throws PostriderError */
  ask<T>(question: Question<T>): Promise<T> {
    let since = performance.now();
    return this.#inTurn(async () => {
      for (;;) {
        const channel = await this.#open(since);
        try {
          return await question(channel);
        } catch (error) {
          if (!isLoss(error)) throw remoteFailure(error);
          since = performance.now();
        }
      }
    });
  }

  /** @throws PostriderError UNKNOWN_OUTCOME when the connection is lost before the answer */
  askOnce<T>(question: Question<T>): Promise<T> {
    const since = performance.now();
    return this.#inTurn(async () => {
      const channel = await this.#open(since);
      try {
        return await question(channel);
      } catch (error) {
        throw remoteFailure(error);
      }
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const answer = this.#last.then(work);
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  async #open(since: number): Promise<Channel> {
    while (this.#channel?.active !== true) {
      try {
        this.#channel = await this.#connection.channel(this.#patienceMs, since);
      } catch (error) {
        if (remoteFailure(error).code !== 'UNKNOWN_OUTCOME') throw error;
      }
    }
    return this.#channel;
  }

  async close(): Promise<void> {
    await this.#connection.lastAnswer(this.#last);
    if (this.#channel !== null) await this.#connection.closeChannel(this.#channel);
  }
}
