/** Publishes are answered within the turn where no disk is waited for; who publishes again at each answer leaves the event loop its turns. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { connect, type Mq, PostriderError } from '../../../src/index.ts';

/** Many times what may follow within a turn. */
const mostRounds = 10_000;

describe('publishing again at each answer', () => {
  let directory = '';
  let mq!: Mq;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'postrider-event-loop-'));
    mq = await connect(`file:${directory}`, { log: () => undefined });
  });

  afterEach(async () => {
    await mq.close();
    await rm(directory, { recursive: true, force: true });
  });

  /** The loop got its turns: this many of them, before so many rounds were over. */
  async function turnsGoOn(round: () => Promise<unknown>): Promise<void> {
    let turns = 0;
    const turn = (): void => {
      turns += 1;
      if (turns < 3) setImmediate(turn);
    };
    setImmediate(turn);
    let rounds = 0;
    while (turns < 3 && rounds < mostRounds) {
      rounds += 1;
      await round();
    }
    assert.equal(turns, 3, `after ${rounds} rounds`);
  }

  it('lets others run where a full queue refuses', async () => {
    const queue = await mq.queue<number>('full', { maxLength: 1 });
    await queue.publish(0);
    await turnsGoOn(() =>
      assert.rejects(queue.publish(1), (error) => error instanceof PostriderError && error.code === 'QUEUE_FULL'),
    );
  });

  it('lets a consumer make room meanwhile', async () => {
    const queue = await mq.queue<number>('drained', { maxLength: 1 });
    await queue.publish(0);
    const got: number[] = [];
    await queue.consume((n) => void got.push(n));
    for (let n = 1; n <= 3; n++) {
      let rounds = 0;
      for (;;) {
        try {
          await queue.publish(n);
          break;
        } catch {
          rounds += 1;
          assert.ok(rounds < mostRounds, `${n} was refused ${rounds} times`);
        }
      }
    }
  });

  it('lets others run where messages live as long as the broker', async () => {
    const queue = await mq.queue<number>('fleeting', { durable: false });
    await turnsGoOn(() => queue.publish(1));
  });
});
