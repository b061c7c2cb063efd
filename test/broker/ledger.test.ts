import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ledger } from '../../src/broker/ledger.ts';

interface Entry {
  readonly holder: number;
  readonly number: number;
}

const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        op: fc.constant('add' as const),
        holder: fc.integer({ min: 0, max: 2 }),
        run: fc.integer({ min: 1, max: 60 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('skip' as const), run: fc.integer({ min: 1, max: 40 }) }) },
    { weight: 6, arbitrary: fc.record({ op: fc.constant('take' as const), at: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('takeAfterFirst' as const) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('through' as const), at: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('all' as const) }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('each' as const), at: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('putBack' as const) }) },
  ),
  { maxLength: 80 },
);

test('the ledger does what a plain map of tags does', () => {
  fc.assert(
    fc.property(steps, (script) => {
      const ledger = new Ledger();
      const model = new Map<number, Entry>();
      let next = 1;
      const numbers = [0, 0, 0];
      const through = (tag: number) => {
        const runs: [number, number, number][] = [];
        const known = ledger.takeThrough(tag, { takeRun: (holder, first, count) => runs.push([holder, first, count]) });
        const expected: Entry[] = [];
        if (tag === 0 || model.has(tag)) {
          for (const [key, entry] of model) {
            if (tag !== 0 && key > tag) continue;
            expected.push(entry);
            model.delete(key);
          }
        }
        assert.equal(known, tag === 0 || expected.length > 0);
        const taken = runs.flatMap(([holder, first, count]) =>
          Array.from({ length: count }, (_, i) => ({ holder, number: first + i })),
        );
        assert.deepEqual(taken, expected);
        for (let i = 1; i < runs.length; i++) {
          const [holder, first] = runs[i]!;
          const [before, beforeFirst, beforeCount] = runs[i - 1]!;
          assert.ok(holder !== before || first !== beforeFirst + beforeCount, 'neighbours are one run');
        }
      };
      /** Of what a transaction settles, in any order. */
      const taken = new Map<number, Entry>();
      const each = (tag: number) => {
        const tags: number[] = [];
        const expected = Array.from(model.keys()).filter((key) => tag === 0 || key <= tag);
        const known = ledger.takeEachThrough(tag, {
          takeTag: (key, holder, number) => {
            tags.push(key);
            assert.deepEqual({ holder, number }, model.get(key));
          },
        });
        assert.equal(known, tag === 0 || model.has(tag));
        assert.deepEqual(tags, known ? expected : []);
        for (const key of tags) {
          taken.set(key, model.get(key)!);
          model.delete(key);
        }
      };
      const putBack = () => {
        const entries = Array.from(taken).reverse();
        ledger.putBack(entries.map(([tag, entry]) => ({ tag, ...entry })));
        const all = [...model, ...entries].sort(([a], [b]) => a - b);
        model.clear();
        for (const [tag, entry] of all) model.set(tag, entry);
        taken.clear();
      };
      const take = (tag: number) => {
        const entry = model.get(tag);
        assert.equal(ledger.take(tag), entry?.holder ?? -1);
        if (entry !== undefined) assert.equal(ledger.takenNumber, entry.number);
        model.delete(tag);
      };
      for (const step of script) {
        if (step.op === 'add') {
          for (let i = 0; i < step.run; i++) {
            const number: number = numbers[step.holder]!++;
            assert.equal(ledger.add(step.holder, number), next);
            model.set(next++, { holder: step.holder, number });
          }
        } else if (step.op === 'skip') {
          for (let i = 0; i < step.run; i++) assert.equal(ledger.skip(), next++);
        } else if (step.op === 'take') {
          take(step.at % (next + 1));
        } else if (step.op === 'takeAfterFirst') {
          // Everything but the oldest: what makes stragglers.
          for (const tag of Array.from(model.keys()).slice(1)) take(tag);
        } else if (step.op === 'each') {
          each(step.at % (next + 1));
        } else if (step.op === 'putBack') {
          putBack();
        } else {
          through(step.op === 'all' ? 0 : step.at % (next + 1));
        }
        assert.equal(ledger.count, model.size);
        assert.equal(ledger.oldest, model.keys().next().value ?? 0);
        const visited: [number, number][] = [];
        ledger.each((tag, holder) => visited.push([tag, holder]));
        assert.deepEqual(
          visited,
          Array.from(model, ([tag, { holder }]) => [tag, holder]),
        );
      }
      through(0);
      assert.equal(ledger.count, 0);
    }),
    { numRuns: 300 },
  );
});

test('a forgotten delivery does not make the ring grow with all that pass it', () => {
  const ledger = new Ledger();
  const forgotten = ledger.add(0, 7);
  for (let i = 0; i < 100_000; i++) {
    const tag = ledger.add(1, i);
    assert.equal(ledger.take(tag), 1);
  }
  assert.equal(ledger.capacity, 64);
  assert.equal(ledger.count, 1);
  assert.equal(ledger.take(forgotten), 0);
  assert.equal(ledger.takenNumber, 7);
  assert.equal(ledger.take(forgotten), -1);
});

test('an acknowledgement of several settles neighbours as one run', () => {
  const ledger = new Ledger();
  for (let i = 0; i < 1000; i++) ledger.add(0, i + 50);
  const runs: number[][] = [];
  const taker = { takeRun: (...run: number[]) => runs.push(run) };
  assert.equal(ledger.takeThrough(400, taker), true);
  assert.equal(ledger.takeThrough(400, taker), false, 'it is not unacknowledged any more');
  assert.equal(ledger.takeThrough(0, taker), true);
  assert.deepEqual(runs, [
    [0, 50, 400],
    [0, 450, 600],
  ]);
});
