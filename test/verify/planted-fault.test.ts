import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { check, type CheckOptions } from '../../src/verify/checker.ts';
import type { HistoryEvent } from '../../src/verify/history.ts';
import { NO_MINIMUMS } from '../../src/verify/minimums.ts';
import { noViolations, type Guarantee, type Rule } from '../../src/verify/verdict.ts';
import { cleanHistory } from './clean-history.ts';
import { Garden, PLANTERS } from './planted-fault.ts';
import { Random } from './random.ts';

const GUARANTEES: readonly Guarantee[] = ['at-most-once', 'at-least-once', 'exactly-once'];
const SEEDS = Array.from({ length: 20 }, (_, index) => index + 1);
const OPTIONS: CheckOptions = { minimums: NO_MINIMUMS, everySettled: true };

function exactly(counts: Partial<Record<Rule, number>>): Record<Rule, number> {
  return { ...noViolations(), ...counts };
}

/** Each consumer is a process of its own that lags behind by a time of its own, as a socket's buffer makes it. */
function recordedLate(history: readonly HistoryEvent[], random: Random): HistoryEvent[] {
  const lags = new Map<string, number>();
  return history
    .map((event) => {
      if (!('consumer' in event) || event.type === 'subscribe') return event;
      const lag = lags.get(event.consumer) ?? random.below(200);
      lags.set(event.consumer, lag);
      return { ...event, at: event.at + lag };
    })
    .sort((a, b) => a.at - b.at);
}

for (const guarantee of GUARANTEES) {
  describe(`planted faults, ${guarantee}`, () => {
    it('finds nothing in clean histories, whether recorded in one process or in many', () => {
      let redelivered = 0;
      for (const seed of SEEDS) {
        const history = cleanHistory(seed, guarantee);
        for (const synchronous of [false, true]) {
          const verdict = check(history, guarantee, { ...OPTIONS, synchronous });
          assert.deepEqual(
            verdict.rules,
            noViolations(),
            `seed ${seed}: ${JSON.stringify(verdict.violations, null, 1)}`,
          );
          assert.equal(verdict.verdict, 'held', `seed ${seed}: ${verdict.reasons.join('; ')}`);
          redelivered += verdict.counts.redelivered;
        }
      }
      if (guarantee !== 'at-most-once') assert.ok(redelivered > 100);
    });

    it('finds nothing where consumers record late what they got', () => {
      for (const seed of SEEDS) {
        const history = recordedLate(cleanHistory(seed, guarantee), new Random(seed));
        const verdict = check(history, guarantee, OPTIONS);
        assert.deepEqual(verdict.rules, noViolations(), `seed ${seed}: ${JSON.stringify(verdict.violations, null, 1)}`);
      }
    });

    for (const planter of PLANTERS.filter(({ guarantees }) => guarantees.includes(guarantee))) {
      it(`counts exactly: ${planter.name}`, () => {
        let total = 0;
        for (const seed of SEEDS) {
          const garden = new Garden(cleanHistory(seed, guarantee), new Random(seed));
          const planted = planter.plant(garden, 1 + (seed % 5));
          const verdict = check(garden.events, guarantee, { ...OPTIONS, synchronous: seed % 2 === 0 });
          assert.deepEqual(verdict.rules, exactly({ [planter.rule]: planted }), `seed ${seed}`);
          assert.equal(verdict.verdict, planted > 0 ? 'broken' : 'held');
          assert.equal(verdict.violations.length, planted);
          for (const violation of verdict.violations) {
            assert.equal(violation.rule, planter.rule);
            assert.ok(violation.sentence.includes(violation.id));
            assert.ok(violation.seen.some((event) => 'id' in event && event.id === violation.id));
          }
          total += planted;
        }
        assert.ok(total >= SEEDS.length, `only ${total} planted over all seeds`);
      });
    }

    it('counts every kind in one history', () => {
      for (const seed of SEEDS.slice(0, 10)) {
        const random = new Random(seed);
        const garden = new Garden(cleanHistory(seed, guarantee, 1000), random);
        const planted: Partial<Record<Rule, number>> = {};
        for (const planter of random.shuffled(PLANTERS)) {
          if (!planter.guarantees.includes(guarantee)) continue;
          const count = planter.plant(garden, 1 + random.below(3));
          planted[planter.rule] = (planted[planter.rule] ?? 0) + count;
        }
        assert.deepEqual(check(garden.events, guarantee, OPTIONS).rules, exactly(planted), `seed ${seed}`);
      }
    });
  });
}
