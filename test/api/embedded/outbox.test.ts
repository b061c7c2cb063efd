import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Outbox, type Settling } from '../../../src/api/embedded/outbox.ts';
import type { PostriderError } from '../../../src/api/errors.ts';
import type { Address } from '../../../src/api/link.ts';
import type {
  Batch,
  Broker,
  CommitReceiver,
  ItemOutcome,
  MessageView,
  Route,
  Session,
} from '../../../src/broker/index.ts';

/** A broker whose commits are answered by hand. */
class HandBroker {
  readonly pressure = { blocked: null, behind: false };
  readonly commits: ((outcomes: readonly ItemOutcome[] | null) => void)[] = [];

  begin(): Batch {
    return {
      append: () => undefined,
      settle: () => undefined,
      put: () => undefined,
      together: () => undefined,
      commit: <T>(receiver: CommitReceiver<T>, token: T) => {
        this.commits.push((outcomes) => receiver.committed(token, outcomes));
      },
    };
  }
}

const to: Address = { exchange: '', routingKey: 'q', mandatory: true };
const nowhere: Address = { exchange: '', routingKey: 'nowhere', mandatory: true };
/** To subscribers that no queue keeps it for. */
const live: Address = { exchange: 'amq.topic', routingKey: 'live', mandatory: true };

function open(): { broker: HandBroker; session: Session; outbox: Outbox } {
  const broker = new HandBroker();
  const session = {
    vhost: {
      version: 1,
      route: (_principal: unknown, _exchange: string, routingKey: string) => ({
        version: 1,
        targets: routingKey === 'q' ? {} : null,
        unroutable: routingKey === 'nowhere',
      }),
    },
    principal: {},
    resolve: (route: unknown) => route,
    publish: (batch: Batch, { targets }: Route, message: MessageView) => {
      if (targets !== null) batch.append(targets, message);
    },
    // Tag 0 is of a queue that was deleted.
    ack: (batch: Batch, tag: number) => {
      if (tag > 0) batch.settle({} as never, {} as never, tag, 1, 'ack');
      return true;
    },
  } as unknown as Session;
  return { broker, session, outbox: new Outbox(broker as unknown as Broker, session) };
}

function publish(outbox: Outbox, address = to): Promise<string> {
  const message = { body: 'x', properties: {}, delayMs: 0 };
  return new Promise<void>((resolve, reject) =>
    outbox.publish({ to: address, message, resolve, reject, signal: undefined }),
  ).then(
    () => 'stored',
    (error: unknown) => (error as PostriderError).code,
  );
}

function settle(outbox: Outbox, session: Session, tag: number): Promise<string> {
  return new Promise((resolve) => {
    const done: Settling['done'] = (error) => resolve(error === null ? 'done' : error.code);
    outbox.settle({ session, tag, requeue: false, done });
  });
}

describe('the outbox', () => {
  it('answers what subscribers alone get, and takes it for none of the others of its batch', async () => {
    const { broker, outbox } = open();
    const sent = [publish(outbox, live), publish(outbox), publish(outbox, nowhere), publish(outbox)];
    await Promise.resolve();
    const closed = outbox.close();
    broker.commits[0]!([{ item: 1, outcome: 'refused', reason: 'gone' }]);
    await closed;
    assert.deepEqual(await Promise.all(sent), ['stored', 'stored', 'UNROUTABLE', 'UNROUTABLE']);
  });

  it('rejects what found no space while it closes', { timeout: 60_000 }, async () => {
    const { broker, outbox } = open();
    const sent = [publish(outbox), publish(outbox)];
    const closed = outbox.close();
    assert.equal(broker.commits.length, 1);
    broker.commits[0]!([{ item: 1, outcome: 'refused', reason: 'full' }]);
    assert.deepEqual(await Promise.all(sent), ['stored', 'CLOSED']);
    await closed;
  });

  it('says of a settlement that is stale, or can be none, that the delivery is lost', async () => {
    const { broker, session, outbox } = open();
    const sent = publish(outbox);
    const unroutable = publish(outbox, nowhere);
    const settled = [0, 1, 2, 3].map((tag) => settle(outbox, session, tag));
    outbox.flush();
    broker.commits[0]!([{ item: 2, outcome: 'stale', reason: null }]);
    assert.deepEqual(await Promise.all(settled), ['DELIVERY_LOST', 'done', 'DELIVERY_LOST', 'done']);
    assert.deepEqual(await Promise.all([sent, unroutable]), ['stored', 'UNROUTABLE']);
  });

  it('commits no empty batch, and answers what nobody gets before it is closed', async () => {
    const { broker, session, outbox } = open();
    const answers = [publish(outbox, nowhere), settle(outbox, session, 0)];
    let answered = 0;
    for (const answer of answers) void answer.then(() => (answered += 1));
    await outbox.close();
    assert.equal(answered, 2);
    assert.equal(broker.commits.length, 0);
  });
});
