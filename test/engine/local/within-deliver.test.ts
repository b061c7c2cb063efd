/** A sink may purge or delete its queue while it is given a message: at most once, that message is gone all the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryEngine } from '../../../src/engine/local/index.ts';
import { Collector, Fixture } from '../../conformance/fixture.ts';

for (const noAck of [true, false]) {
  for (const act of ['purge', 'delete', 'purge and publish'] as const) {
    test(`${act} within a delivery (${noAck ? 'no-ack' : 'to be acknowledged'})`, async () => {
      const engine = memoryEngine();
      const fixture = await Fixture.open({ engine, cleanup: () => Promise.resolve() });
      const queue = await fixture.declare({}, { durable: false });
      const sink = new Collector(fixture);
      let acted: Promise<unknown> = Promise.resolve();
      sink.onDeliver = ({ text }) => {
        if (text !== '2') return true;
        acted = act === 'delete' ? fixture.change({ op: 'delete-queue', key: queue.key }) : engine.purge(queue);
        if (act === 'purge and publish') void fixture.publish(queue, 'later');
        return true;
      };
      await fixture.fill(queue, '0', '1', '2', '3', '4');
      await fixture.consume(queue, { noAck, sink });
      await fixture.quiet();
      const result = await acted;
      assert.deepEqual(sink.texts, act === 'purge and publish' ? ['0', '1', '2', 'later'] : ['0', '1', '2']);
      if (act === 'delete') {
        assert.deepEqual(sink.cancellations, ['deleted']);
        assert.equal((result as { removed: number }).removed, 2);
      } else {
        assert.equal(result, 2, 'what is ready, and not what was handed out');
        const unacked = noAck ? 0 : sink.texts.length;
        await fixture.expectStats(queue, { ready: 0, readyBytes: 0, unacked });
        await fixture.fill(queue, '5', '6');
        await fixture.quiet();
        assert.deepEqual(sink.texts.slice(-2), ['5', '6']);
        await fixture.expectStats(queue, { ready: 0, readyBytes: 0, unacked: noAck ? 0 : unacked + 2 });
      }
      // Of what is settled nothing lives on.
      if (noAck || act === 'delete') {
        const alive = [...engine.segments.values()].reduce((sum, segment) => sum + segment.alive, 0);
        assert.equal(alive, 0);
      }
      await fixture.dispose();
    });
  }
}
