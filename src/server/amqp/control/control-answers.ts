/**
 * Requests that AMQP 0-9-1 has no method for: a message to the default exchange with the routing key `amq.postrider.control` and a
 * `reply-to` is answered, past every queue. broker/control/ has the verbs.
 */
import { performance } from 'node:perf_hooks';
import { answerControl, type ControlAnswer, type MessageView } from '../../../broker/index.ts';
import type { Channel } from '../channel.ts';
import type { Connection } from '../connection.ts';
import { controlKey } from '../reply-to.ts';
import { replyAddress, sendReply } from '../server-reply.ts';
import { channelVerbs } from './channel-verbs.ts';

const maxRequestBytes = 1024 * 1024;
/** Of one connection. */
const maxUnderWay = 64;
/** That requests without an address come is not told more often. */
const tellAgainMs = 10_000;

export class ControlAnswers {
  readonly #underWay = new WeakMap<Connection, number>();
  #toldLostAt = -Infinity;

  /** False: it doesn't say to whom the answer goes. */
  answer(channel: Channel, view: MessageView): boolean {
    const { connection } = channel;
    const address = replyAddress(view, controlKey);
    if (address === null) {
      this.#tellLost(connection);
      return false;
    }
    const underWay = this.#underWay.get(connection) ?? 0;
    const reply = (answer: ControlAnswer): void => sendReply(channel, address, JSON.stringify(answer));
    const failed = (error: unknown): void => connection.log(`could not answer a control request: ${String(error)}`);
    const refused =
      view.bodyEnd - view.bodyStart > maxRequestBytes ? tooLarge : underWay < maxUnderWay ? null : tooMany;
    if (refused !== null) {
      Promise.resolve(refused).then(reply).catch(failed);
      return true;
    }
    // What came before it in this read is done before it; and a verb may begin a batch of its own.
    connection.commitBatch();
    this.#underWay.set(connection, underWay + 1);
    const json = view.body.toString('utf8', view.bodyStart, view.bodyEnd);
    answerControl(json, channelVerbs, channel, (error) => connection.logBug(error))
      .finally(() => this.#underWay.set(connection, this.#underWay.get(connection)! - 1))
      .then(reply)
      .catch(failed);
    return true;
  }

  #tellLost(connection: Connection): void {
    const now = performance.now();
    if (now - this.#toldLostAt < tellAgainMs) return;
    this.#toldLostAt = now;
    connection.log('a control request without reply_to was dropped');
  }
}

const tooLarge: ControlAnswer = {
  ok: false,
  code: 'PRECONDITION_FAILED',
  message: `a control request has at most ${maxRequestBytes} bytes`,
};

const tooMany: ControlAnswer = {
  ok: false,
  code: 'PRECONDITION_FAILED',
  message: `${maxUnderWay} control requests of this connection are under way`,
};
