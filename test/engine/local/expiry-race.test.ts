/** Time goes on between two looks at the clock: a message that expires between them must not be forgotten. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock, type Clock } from '../../../src/engine/clock.ts';
import { memoryEngine } from '../../../src/engine/local/index.ts';
import { Fixture, until } from '../../conformance/fixture.ts';

/** Moves by a millisecond at each look. */
class RestlessClock implements Clock {
  #now = 1_700_000_000_000;
  readonly defer = systemClock.defer;
  readonly after = systemClock.after;

  now(): number {
    return this.#now++;
  }

  get still(): number {
    return this.#now;
  }
}

for (let lifeMs = 1; lifeMs <= 12; lifeMs++) {
  test(`a message that expires after ${lifeMs} looks at the clock goes`, async (t) => {
    const clock = new RestlessClock();
    const engine = memoryEngine(clock);
    t.after(() => engine.close());
    const fixture = await Fixture.open({ engine, cleanup: () => Promise.resolve() });
    const queue = await fixture.declare();
    await fixture.fill(queue, { expiresAt: clock.still + lifeMs });
    let ready = 1;
    await until('it is gone', () => {
      void engine.stats(queue).then((stats) => (ready = stats.ready));
      return ready === 0;
    });
    assert.equal(ready, 0);
  });
}
