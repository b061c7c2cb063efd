/** The cases of the API, against whatever carries its messages. */
import { after, before, describe } from 'node:test';
import { connect, type EmbeddedMq, type Mq } from '../../src/index.ts';
import type { Bench } from './bench.ts';
import { consumeCases } from './cases/consume.ts';
import { failureCases } from './cases/failures.ts';
import { closingCases } from './cases/closing.ts';
import { declareCases } from './cases/declare.ts';
import { inspectCases } from './cases/inspect.ts';
import { publishCases } from './cases/publish.ts';
import { redriveCases } from './cases/redrive.ts';
import { requestCases } from './cases/request.ts';
import { topicCases } from './cases/topics.ts';

export interface Target {
  readonly name: string;
  readonly kind: Bench['kind'];
  /** A connection; embedded: the one and only. */
  open(): Promise<Mq>;
  close?(): Promise<void>;
}

export function apiSuite(target: Target): void {
  describe(`the API on ${target.name}`, () => {
    let mq!: Mq;
    let url: string | null = null;
    let names = 0;
    const run = `${process.pid.toString(36)}${Math.random().toString(36).slice(2, 6)}`;
    const bench: Bench = {
      kind: target.kind,
      get mq() {
        return mq;
      },
      async other() {
        if (target.kind !== 'embedded') return target.open();
        if (url === null) {
          const { amqp } = await (mq as EmbeddedMq).listen({ amqp: { port: 0 } });
          url = `amqp://127.0.0.1:${amqp!.port}`;
        }
        return connect(url);
      },
      name() {
        names += 1;
        return `case_${run}_${names}`;
      },
    };
    before(async () => {
      mq = await target.open();
    });
    after(async () => {
      await mq?.close();
      await target.close?.();
    });
    declareCases(bench);
    publishCases(bench);
    consumeCases(bench);
    failureCases(bench);
    topicCases(bench);
    requestCases(bench);
    inspectCases(bench);
    redriveCases(bench);
    closingCases(bench);
  });
}
