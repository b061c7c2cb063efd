import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Session } from '../../../src/broker/index.ts';
import { Bench, messageOf, rest, until } from '../harness.ts';

async function begin(args = {}, settings = {}) {
  const bench = await new Bench(undefined, settings).open();
  const session = bench.session();
  await bench.exchange(session, 'dlx', 'fanout');
  await bench.queue(session, 'dead');
  await bench.bind(session, 'dead', 'dlx', '');
  await bench.queue(session, 'source', { 'x-dead-letter-exchange': 'dlx', ...args });
  await bench.queue(session, 'target');
  return { bench, session, engine: bench.fake, transaction: session.transact() };
}

function publish(bench: Bench, session: Session, key: string, body: string): void {
  const message = messageOf(body);
  const route = session.resolve(bench.vhost.route(session.principal, '', key), message);
  session.transaction!.publish(route, message);
}

const refused = (message: RegExp) => ({ name: 'BrokerError', code: 'PRECONDITION_FAILED', message });

test('on a full disk publishes are refused, and what it settles can be settled again', async () => {
  const { bench, session, engine, transaction } = await begin();
  await bench.publish(session, '', 'source', 'in');
  const got = await bench.get(session, 'source', false);
  publish(bench, session, 'target', 'out');
  assert.equal(transaction.settle(got!.tag, false, 'ack'), true);
  assert.equal(transaction.settle(got!.tag, false, 'ack'), false);
  engine.full = true;
  await assert.rejects(transaction.commit(), refused(/^transaction refused: the disk is full/));
  engine.full = false;
  assert.equal(bench.broker.context.transactions.bytes, 0);
  assert.equal(transaction.settle(got!.tag, false, 'ack'), true);
  await transaction.commit();
  assert.deepEqual([await bench.count('source'), await bench.count('target')], [0, 0]);
  assert.equal(session.unackedCount, 0);
});

test('on a full disk what it rejects waits for space, and the rest is done', async () => {
  const { bench, session, engine, transaction } = await begin();
  await bench.publish(session, '', 'source', 'rejected');
  const got = await bench.get(session, 'source', false);
  transaction.settle(got!.tag, false, 'drop');
  engine.full = true;
  await transaction.commit();
  await rest();
  assert.equal(engine.queues.get('1:/6:source')!.held.size, 1);
  engine.full = false;
  await until(() => engine.queues.get('1:/4:dead')!.ready.length === 1, 'the dead letter');
  assert.equal(engine.queues.get('1:/6:source')!.held.size, 0);
});

test('rejected messages are loaded within the bounds of a transaction', async () => {
  const { bench, session, transaction } = await begin({}, { maxTransactionBytes: 100_000 });
  for (const body of ['a', 'b']) await bench.publish(session, '', 'source', body.repeat(60_000));
  const first = await bench.get(session, 'source', false);
  const second = await bench.get(session, 'source', false);
  transaction.settle(first!.tag, false, 'drop');
  transaction.settle(second!.tag, false, 'drop');
  await assert.rejects(transaction.commit(), refused(/^transaction is larger than 100000 bytes$/));
  transaction.settle(first!.tag, false, 'drop');
  await transaction.commit();
  assert.equal(await bench.count('dead'), 1);
  assert.equal(bench.broker.context.transactions.bytes, 0);
});

test('a session that ends while its transaction is committed gives its room back', async () => {
  const { bench, session, transaction } = await begin();
  await bench.publish(session, '', 'source', 'in');
  const got = await bench.get(session, 'source', false);
  publish(bench, session, 'target', 'out');
  transaction.settle(got!.tag, false, 'drop');
  const committed = transaction.commit().catch((error: unknown) => error);
  await session.close();
  await committed;
  assert.equal(bench.broker.context.transactions.bytes, 0);
  const counts = [await bench.count('source'), await bench.count('target'), await bench.count('dead')];
  assert.ok(
    [
      [1, 0, 0],
      [0, 1, 1],
    ].some((whole) => whole.join() === counts.join()),
    `by halves: ${counts.join()}`,
  );
});

test('a transaction that ends while its dead letters are refused does not go on without the rest', async () => {
  const { bench, session, engine, transaction } = await begin();
  await bench.queue(session, 'small', { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
  await bench.bind(session, 'small', 'dlx', '');
  for (const queue of ['small', 'source']) await bench.publish(session, '', queue, 'in');
  const got = await bench.get(session, 'source', false);
  publish(bench, session, 'target', 'out');
  transaction.settle(got!.tag, false, 'drop');
  const { commits } = engine;
  const committed = transaction.commit();
  while (engine.commits === commits) await Promise.resolve();
  // Its session holds the lease on, as long as other dead letters of it are under way.
  transaction.end();
  await assert.rejects(committed, refused(/^transaction refused: /));
  assert.equal(engine.queues.get('1:/6:source')!.held.size, 1);
  assert.deepEqual([await bench.count('target'), engine.commits], [0, commits + 1]);
});
