import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AckDeadlines } from '../../../src/server/amqp/ack-deadlines.ts';
import { AckExtensions } from '../../../src/server/amqp/ack-extensions.ts';
import { defaultAmqpSettings } from '../../../src/server/amqp/settings.ts';

test('a consumer that asks for a millisecond has the channels looked at once a second', (context) => {
  const { mock } = context.mock.method(globalThis, 'setTimeout');
  const deadlines = new AckDeadlines(new Set(), 1_800_000, defaultAmqpSettings.shortestAckPeriodMs);
  deadlines.start();
  deadlines.follow(1);
  deadlines.stop();
  assert.deepEqual(
    mock.calls.map(({ arguments: given }) => given[1]),
    [60_000, 1_000],
  );
});

test('more time for deliveries that are settled is forgotten without a look', () => {
  const live = new Set<number>([1]);
  const ledger = {
    get count() {
      return live.size;
    },
    holds: (tag: number) => live.has(tag),
  };
  const extensions = new AckExtensions(ledger);
  extensions.add(1, 1_000, 0);
  for (let tag = 2; tag < 1_000; tag++) {
    live.add(tag);
    extensions.add(tag, 1_000, 0);
    live.delete(tag);
  }
  assert.ok(extensions.tags.size <= 20, `${extensions.tags.size}`);
  assert.equal(extensions.lowest(0), 1);
  assert.equal(extensions.lowest(1_000), Infinity);
});
