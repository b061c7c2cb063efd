/** A broker killed again and again under load: what it confirmed is delivered, whatever the moment. */
import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerProcess } from '../../src/demo/broker.ts';
import { Launcher } from '../../src/demo/launch.ts';
import { check, MemoryRecorder, monotonicNs, renderReport } from '../../src/verify/index.ts';
import { postrider, scratch } from '../cli/postrider.ts';
import { connect, Producer, queues, Receiver } from './load.ts';

const rounds = 5;
const wantedConfirmed = 10_000;

it('SIGKILL under load loses nothing that was confirmed', { timeout: 300_000 }, async (context) => {
  const { broker, recorder } = await begin(context);
  const connections = Array.from({ length: 4 }, () => connect(broker.url));
  const [first, second, third, fourth] = connections as [Connection_, Connection_, Connection_, Connection_];
  const producers = [new Producer(first, recorder, 'p1', 100), new Producer(second, recorder, 'p2', 20)];
  const received = new Map(queues.map((queue) => [queue, new Set<string>()]));
  const receivers = queues.flatMap((queue) => [
    new Receiver(third, recorder, queue, `${queue}-a`, received.get(queue)!),
    new Receiver(fourth, recorder, queue, `${queue}-b`, received.get(queue)!),
  ]);
  const confirmed = (): number => producers.reduce((sum, producer) => sum + producer.confirmed, 0);

  for (let round = 1; round <= rounds; round++) {
    const before = confirmed();
    await until('messages are confirmed again', () => confirmed() > before + 200);
    await sleep(Math.random() * 500);
    const { pid } = broker;
    recorder.fault(`kill-${round}`, 'SIGKILL broker');
    await broker.kill();
    await broker.start();
    recorder.faultProof(`kill-${round}`, { kind: 'pid', before: pid, after: broker.pid });
  }
  await until('enough is confirmed', () => confirmed() >= wantedConfirmed);
  await Promise.all(producers.map((producer) => producer.stop()));
  // Whoever publishes until it is confirmed has no other messages by now.
  await until('everything is delivered', () => queues.every((queue) => received.get(queue)!.size === confirmed()));

  await Promise.all(receivers.map((receiver) => receiver.close()));
  await Promise.all(connections.map((connection) => connection.close()));
  assert.equal(await broker.stop(), 0);
  const verdict = check(recorder.events, 'at-least-once', { everySettled: true });
  context.diagnostic(
    `${verdict.counts.confirmed} confirmed, ${verdict.counts.unknownAttempts} unknown, ${verdict.counts.redelivered} redelivered`,
  );
  assert.equal(verdict.verdict, 'held', renderReport(verdict));
});

type Connection_ = ReturnType<typeof connect>;

async function begin(context: TestContext): Promise<{ broker: BrokerProcess; recorder: MemoryRecorder }> {
  const directory = await scratch();
  const launcher = new Launcher();
  context.after(() => launcher.endAll());
  const broker = new BrokerProcess({
    launcher,
    postrider,
    data: join(directory, 'data'),
    logFile: join(directory, 'broker.log'),
  });
  await broker.start();
  return { broker, recorder: new MemoryRecorder(monotonicNs) };
}

async function until(what: string, condition: () => boolean, timeoutMs = 120_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`gave up after ${timeoutMs / 1000} s: ${what}`);
    await sleep(5);
  }
}
