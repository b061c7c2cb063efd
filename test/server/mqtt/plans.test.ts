/** What is kept of the topics that a client receives. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PlanBudget } from '../../../src/server/mqtt/plan-budget.ts';
import { startTarget } from './broker.ts';
import { conformsOn } from './conforms.ts';
import { acknowledge, publish } from './packet.ts';

const conforms = conformsOn(await startTarget());

conforms(
  'each message names its own topic, among topics whose envelopes hash alike',
  { v3: '3.3.2-3', v5: '3.3.2-3' },
  async ({ open, topic }) => {
    const client = await open();
    await client.subscribe(`${topic}/#`, { qos: 1 });
    const publisher = await open('publisher');
    const topics = ['Aa', 'BB', 'Aa', 'BB', 'AaBB', 'BBAa', 'AaBB', 'BB'].map((name) => `${topic}/${name}`);
    for (const name of topics) {
      await publisher.publish(name, 'm', { qos: 1 });
      const message = await client.expect('publish');
      assert.equal(message.topic, name);
      client.send(acknowledge('puback', message.id));
    }
  },
);

conforms(
  'thousands of topics, one after the other and again, each come as they are',
  { v3: '3.3.2-3', v5: '3.3.2-3' },
  async ({ version, open, topic }) => {
    const client = await open();
    await client.subscribe(`${topic}/+`, { qos: 1 });
    const publisher = await open('publisher');
    for (let round = 0; round < 2; round++) {
      for (let from = 0; from < 2000; from += 100) {
        const topics = Array.from({ length: 100 }, (_, at) => `${topic}/${from + at}`);
        publisher.send(Buffer.concat(topics.map((name, at) => publish(version, name, 'm', { qos: 1, id: at + 1 }))));
        for (const name of topics) {
          const message = await client.expect('publish');
          assert.equal(message.topic, name);
          client.send(acknowledge('puback', message.id));
          await publisher.expect('puback');
        }
      }
    }
  },
);

test('a client has plans of many topics while others leave room, and of a few in any case', () => {
  const budget = new PlanBudget();
  const admitted = (plans: number): number => {
    let own = 0;
    for (; own < plans && budget.admits(own, 10 * own, 10); own++) budget.take(10);
    return own;
  };
  assert.equal(admitted(100_000), 16_384);
  for (let client = 0; client < 7; client++) admitted(16_384);
  assert.equal(admitted(16_384), 1_024);
  assert.equal(budget.held, 8 * 16_384 + 1_024);
  budget.giveBack(16_384, 163_840);
  assert.equal(admitted(2_000), 2_000);
});

test('how long the topics are counts as well', () => {
  const budget = new PlanBudget();
  assert.equal(budget.admits(0, 0, 64 * 1024), true);
  assert.equal(budget.admits(100, 1024 * 1024, 1), false);
});
