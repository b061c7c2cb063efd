import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { memoryEngine } from '../../src/engine/local/index.ts';
import type { Defect } from '../conformance/model-engine.ts';
import { engineUnderTest } from './engine-under-test.ts';
import { plainEngine } from './plain-engine.ts';
import { drawSeeds } from './seeds.ts';
import { type EngineFactory, simulate } from './simulation.ts';

/** What the judge must see in an engine that loses nothing but has one thing wrong. Waiting messages are not simulated. */
const defects: readonly Defect[] = [
  'requeue-to-tail',
  'release-is-not-counted',
  'stale-range-in-part',
  'any-lease-settles',
  'atomic-keeps-going',
  'refusal-leaves-other-targets',
  'limit-counts-held',
  'credit-one-too-many',
  'deliver-after-stop',
  'no-ack-is-held',
  'expired-behind-head',
  'delivery-limit-late',
  'purge-takes-held',
  'browse-counts',
  'old-epoch-accepted',
  'gap-accepted',
  'refused-id-remembered',
  'ids-forgotten-at-restart',
  'conflict-ignored',
  'revision-starts-again',
  'transient-stays',
  'held-lost-at-restart',
  'not-flagged-after-restart',
  'reports-overtake',
  'message-not-copied',
  'two-active-consumers',
  'priority-lost-on-return',
];

describe('judge of the simulation', () => {
  it('finds nothing wrong with the plain model', async () => {
    for (let seed = 0; seed < 40; seed++) {
      const result = await simulate(seed, plainEngine());
      assert.deepEqual(result.violations, [], `seed ${seed}`);
      assert.ok(result.operations >= 200);
    }
  });

  for (const defect of defects) {
    it(`sees ${defect}`, async () => {
      for (let seed = 0; seed < 120; seed++) {
        if ((await simulate(seed, plainEngine(defect))).violations.length > 0) return;
      }
      assert.fail('no seed saw it');
    });
  }

  it('finds nothing wrong with the engine in memory', async () => {
    for (let seed = 0; seed < 60; seed++) {
      const result = await simulate(seed, (_files, clock) => memoryEngine(clock), { oneLife: true });
      assert.deepEqual(result.violations, [], `seed ${seed}`);
    }
  });

  const engines: Readonly<Record<string, () => EngineFactory>> = {
    'the plain model': () => plainEngine(),
    'the engine on disk': () => engineUnderTest,
  };
  for (const [name, make] of Object.entries(engines)) {
    it(`repeats a seed byte for byte, and no other, with ${name}`, async () => {
      const hashes = new Set<number>();
      for (let seed = 0; seed < 10; seed++) {
        const [first, second] = [await simulate(seed, make()), await simulate(seed, make())];
        assert.equal(first.hash, second.hash, `seed ${seed}`);
        assert.equal(first.steps, second.steps);
        assert.equal(first.operations, second.operations);
        assert.deepEqual(first.violations, second.violations);
        hashes.add(first.hash);
      }
      assert.equal(hashes.size, 10);
    });
  }

  it('draws half of the seeds from the commit', () => {
    assert.deepEqual(drawSeeds(6, 'a').slice(0, 3), [0, 1, 2]);
    assert.deepEqual(drawSeeds(50, 'a'), drawSeeds(50, 'a'));
    assert.notDeepEqual(drawSeeds(50, 'a').slice(25), drawSeeds(50, 'b').slice(25));
  });
});
