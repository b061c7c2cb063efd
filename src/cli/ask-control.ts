/** Has a Postrider do what AMQP has no method for: one that runs, by a control request; one of this process, by the same verb. */
import type { ControlAnswer } from '../broker/index.ts';
import { CommandError } from './command-error.ts';
import { exitCode } from './exit-code.ts';
import { patienceMs } from './patience.ts';
import { brokerUrl, isRemote, type VerbOptions, withBroker, withErrorLines } from './verb.ts';

export interface ControlQuestion {
  readonly verb: string;
  readonly [field: string]: unknown;
}

/** The answer, without `ok`. `unable` says what another broker can't be asked for over AMQP. @throws CommandError */
export async function askControl<T>(
  options: VerbOptions,
  question: ControlQuestion,
  unable: (product: string) => string = (product) => `${product} can't be asked to ${question.verb} over AMQP`,
): Promise<T> {
  const url = brokerUrl(options);
  const json = JSON.stringify(question);
  const answer = isRemote(url)
    ? await withErrorLines(url, () => askRunning(url, json, unable))
    : await askOwn(options, json);
  if (answer.ok) return answer as unknown as T;
  throw new CommandError(exitCode.failed, answer.message);
}

async function askRunning(url: string, json: string, unable: (product: string) => string): Promise<ControlAnswer> {
  const { askServer } = await import('./ask-server.ts');
  const { controlKey } = await import('../server/amqp/reply-to.ts');
  const question = { routingKey: controlKey, body: Buffer.from(json) };
  return JSON.parse((await askServer(url, patienceMs, question, unable)).toString()) as ControlAnswer;
}

async function askOwn(options: VerbOptions, json: string): Promise<ControlAnswer> {
  let answer: ControlAnswer | null = null;
  await withBroker(options, async (mq) => {
    const { EmbeddedMq } = await import('../api/embedded-mq.ts');
    const { answerControl, ConnectionScope, controlVerbs, Session } = await import('../broker/index.ts');
    const { guest } = await import('../broker/principal.ts');
    if (!(mq instanceof EmbeddedMq) || mq.broker === null) throw new Error('this is no broker in this process');
    const vhost = mq.broker.vhost('/')!;
    const session = new Session(mq.broker, vhost, guest, new ConnectionScope(vhost, 'postrider'));
    let bug: Error | null = null;
    answer = await answerControl(json, controlVerbs, session, (error) => (bug = error as Error));
    await session.close();
    if (bug !== null) throw bug as Error;
  });
  return answer!;
}
