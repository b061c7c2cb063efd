/** The suite is itself tested: the model passes it, and each planted defect fails at least one case. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { conformanceCases, type RunnableCase, runEngineConformance } from './engine-suite.ts';
import { setPatience } from './fixture.ts';
import type { Defect } from './model-engine.ts';
import { openModel } from './open-model.ts';

const expectedRefusals = ['streams'] as const;

runEngineConformance('model', { open: () => openModel(), expectedRefusals });

const defects: Record<Defect, RunnableCase['group']> = {
  'requeue-to-tail': 'settle and release',
  'release-is-not-counted': 'settle and release',
  'removal-is-counted': 'removals',
  'stale-range-in-part': 'settle and release',
  'any-lease-settles': 'settle and release',
  'atomic-keeps-going': 'atomic batches',
  'refusal-leaves-other-targets': 'limits',
  'limit-counts-held': 'limits',
  'credit-one-too-many': 'consume, take and load',
  'deliver-after-stop': 'consume, take and load',
  'no-ack-is-held': 'consume, take and load',
  'expired-behind-head': 'removals',
  'delivery-limit-late': 'removals',
  'purge-takes-held': 'stats, purge and browse',
  'browse-counts': 'stats, purge and browse',
  'old-epoch-accepted': 'producers and message ids',
  'gap-accepted': 'producers and message ids',
  'refused-id-remembered': 'producers and message ids',
  'ids-forgotten-at-restart': 'producers and message ids',
  'conflict-ignored': 'keyed state',
  'revision-starts-again': 'keyed state',
  'transient-stays': 'reopen and crash',
  'held-lost-at-restart': 'reopen and crash',
  'not-flagged-after-restart': 'reopen and crash',
  'reports-overtake': 'append and commit',
  'message-not-copied': 'append and commit',
  'two-active-consumers': 'consume, take and load',
  'priority-lost-on-return': 'priorities',
  'delayed-are-ready': 'delayed messages',
  'due-at-old-place': 'delayed messages',
  'delayed-lost-at-restart': 'delayed messages',
  'group-shared': 'message groups',
  'group-not-drained': 'message groups',
  'group-not-passed-over': 'message groups',
  'group-out-of-order': 'message groups',
};

describe('planted defects', () => {
  // A case that waits for what a defect withholds need not wait long: the model answers within a few turns.
  before(() => setPatience(200));
  after(() => setPatience());

  for (const [defect, group] of Object.entries(defects) as [Defect, RunnableCase['group']][]) {
    it(`${defect} is caught by ${group}`, async () => {
      const cases = conformanceCases({ open: () => openModel(defect), expectedRefusals });
      for (const one of cases.filter((other) => other.group === group)) {
        const caught = await one.run().then(
          () => false,
          () => true,
        );
        if (caught) return;
      }
      assert.fail(`no case of ${group} failed`);
    });
  }
});
