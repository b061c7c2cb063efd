import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Prefetch } from '../../src/api/prefetch.ts';

describe('the adaptive prefetch', () => {
  let now = 0;
  const clock = (): number => now;

  /** A message comes to an idle consumer, `awayMs` after the last, and is handled in `handledMs`. */
  function one(prefetch: Prefetch, awayMs: number, handledMs: number): void {
    now += awayMs;
    prefetch.begun();
    prefetch.adapt(false);
    now += handledMs;
    prefetch.handled();
    prefetch.adapt(true);
  }

  it('grows while handlers are fast, however far the broker is', () => {
    const prefetch = new Prefetch(1, null, clock);
    for (let count = 0; count < 5_000; count++) one(prefetch, 500, 0.001);
    assert.equal(prefetch.count, 2_048);
  });

  it('holds about as many as are handled in twenty milliseconds', () => {
    const prefetch = new Prefetch(1, null, clock);
    for (let count = 0; count < 5_000; count++) one(prefetch, 500, 1);
    assert.equal(prefetch.count, 32);
  });

  it('stays where handlers are slow, though nothing else waits', () => {
    const prefetch = new Prefetch(1, null, clock);
    for (let count = 0; count < 20; count++) one(prefetch, 500, 50);
    assert.equal(prefetch.count, 1);
  });

  it('stays where slow handlers that run at a time end together', () => {
    const prefetch = new Prefetch(10, null, clock);
    for (let round = 0; round < 20; round++) {
      now += 500;
      for (let count = 0; count < 10; count++) {
        prefetch.handled();
        prefetch.adapt(false);
      }
    }
    assert.equal(prefetch.count, 10);
  });

  it('shrinks to what runs at a time when handlers get slow', () => {
    const prefetch = new Prefetch(2, null, clock);
    for (let count = 0; count < 5_000; count++) one(prefetch, 0, 0.001);
    for (let count = 0; count < 11; count++) one(prefetch, 0, 101);
    assert.equal(prefetch.count, 2);
  });

  it('shrinks while there is always something to do', () => {
    const prefetch = new Prefetch(1, null, clock);
    for (let count = 0; count < 5_000; count++) one(prefetch, 0, 0.001);
    for (let count = 0; count < 44; count++) {
      now += 101;
      prefetch.handled();
      prefetch.adapt(false);
    }
    assert.equal(prefetch.count, 1);
  });

  it('leaves alone what was set', () => {
    const prefetch = new Prefetch(1, 7, clock);
    for (let count = 0; count < 50; count++) one(prefetch, 0, 1);
    assert.equal(prefetch.count, 7);
  });
});
