import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { check, type CheckOptions } from '../../src/verify/checker.ts';
import { NO_MINIMUMS } from '../../src/verify/minimums.ts';
import { MemoryRecorder } from '../../src/verify/recorder.ts';
import type { Guarantee, Verdict } from '../../src/verify/verdict.ts';

function judge(guarantee: Guarantee, tell: (record: MemoryRecorder) => void, options: CheckOptions = {}): Verdict {
  const record = new MemoryRecorder();
  tell(record);
  return check(record.events, guarantee, options);
}

interface Ample {
  readonly messages?: number;
  readonly redelivered?: boolean;
  readonly unknown?: boolean;
  readonly effects?: boolean;
}

/** A clean run that has enough to judge, less what a test takes away. */
function ample({ messages = 10_000, redelivered = true, unknown = true, effects = false }: Ample) {
  return (record: MemoryRecorder): void => {
    for (let sequence = 1; sequence <= messages; sequence++) {
      const id = `p/1/${sequence}`;
      record.publish(id, 1, 'h', ['q']);
      record.confirmed(id, 1);
      record.delivered('q', 'q#1', id, 'h', redelivered && sequence === 1);
      if (effects) record.effect('q', id);
    }
    if (unknown) record.publish(`p/1/${messages + 1}`, 1, 'h', ['q']);
  };
}

const NONE: CheckOptions = { minimums: NO_MINIMUMS };

describe('a run is void', () => {
  for (const guarantee of ['at-least-once', 'exactly-once'] as const) {
    const effects = guarantee === 'exactly-once';

    it(`under ${guarantee} unless it had 10,000 confirmed, a redelivery and an unknown`, () => {
      assert.equal(judge(guarantee, ample({ effects })).verdict, 'held');
      for (const [lacking, reason] of [
        [{ messages: 9_999 }, '9999 messages confirmed, at least 10000 wanted'],
        [{ redelivered: false }, '0 redeliveries seen, at least 1 wanted'],
        [{ unknown: false }, '0 publishes of unknown outcome, at least 1 wanted'],
      ] as const) {
        const verdict = judge(guarantee, ample({ effects, ...lacking }));
        assert.equal(verdict.verdict, 'void');
        assert.deepEqual(verdict.reasons, [reason]);
      }
    });
  }

  it('under at-most-once unless it had 10,000 sent, with messages in flight when a fault struck', () => {
    const run = (messages: number, inFlight: boolean) => (record: MemoryRecorder) => {
      ample({ messages, redelivered: false, unknown: inFlight })(record);
      record.fault('kill-1', 'SIGKILL broker', { kind: 'pid', before: 1, after: 2 });
    };
    assert.equal(judge('at-most-once', run(10_000, true)).verdict, 'held');
    assert.deepEqual(judge('at-most-once', run(9_000, true)).reasons, [
      '9001 messages published, at least 10000 wanted',
    ]);
    assert.deepEqual(judge('at-most-once', run(10_000, false)).reasons, [
      '0 messages in flight when a fault struck, at least 1 wanted',
    ]);
  });

  it('does not count as in flight what an earlier fault may have lost, nor what was rejected', () => {
    const { counts } = judge('at-most-once', (record) => {
      for (let sequence = 1; sequence <= 3; sequence++) record.publish(`p/1/${sequence}`, 1, 'h', ['q']);
      record.fault('kill-1', 'SIGKILL broker');
      record.publish('p/1/4', 1, 'h', ['q']);
      record.publish('p/1/5', 1, 'h', ['q']);
      record.rejected('p/1/5', 1);
      record.delivered('q', 'q#1', 'p/1/1', 'h', false);
      record.fault('kill-2', 'SIGKILL broker', { kind: 'pid', before: 1, after: 2 });
    });
    assert.equal(counts.inFlightAtFault, 1);
  });

  it('unless each fault is proven to have bitten', () => {
    const run = (tell: (record: MemoryRecorder) => void) => judge('at-least-once', tell, NONE);
    const bitten = run((record) => {
      record.fault('kill', 'SIGKILL broker');
      record.faultProof('kill', { kind: 'pid', before: 10, after: 11 });
      record.fault('cut', 'power cut', { kind: 'lost-bytes', bytes: 1 });
      record.fault('sync', 'EIO at fdatasync', { kind: 'counter', name: 'EIO', before: 0, after: 1 });
    });
    assert.equal(bitten.verdict, 'held');
    assert.equal(bitten.counts.faults, 3);
    const missed = run((record) => {
      record.fault('kill', 'SIGKILL broker');
      record.faultProof('kill', { kind: 'pid', before: 10, after: 10 });
      record.fault('cut', 'power cut', { kind: 'lost-bytes', bytes: 0 });
      record.fault('sync', 'EIO at fdatasync', { kind: 'counter', name: 'EIO', before: 4, after: 4 });
      record.fault('freeze', 'SIGSTOP payment');
    });
    assert.equal(missed.verdict, 'void');
    assert.deepEqual(missed.reasons, [
      'fault kill (SIGKILL broker): the pid is 10 as before',
      'fault cut (power cut): no unsynced byte was lost',
      'fault sync (EIO at fdatasync): EIO stayed at 4',
      'fault freeze (SIGSTOP payment): nothing proves that it bit',
    ]);
  });

  it('if its history is not fit to judge', () => {
    const reasons = (guarantee: Guarantee, tell: (record: MemoryRecorder) => void): readonly string[] => {
      const verdict = judge(guarantee, tell, NONE);
      assert.equal(verdict.verdict, 'void');
      return verdict.reasons;
    };
    const again = (hash: string, route: readonly string[]) => (record: MemoryRecorder) => {
      record.publish('p/1/1', 1, 'h', ['q']);
      record.publish('p/1/1', 2, hash, route);
    };
    assert.match(reasons('at-least-once', again('other', ['q'])).join(), /again with another body: p\/1\/1 \(1 such\)/);
    assert.match(reasons('at-least-once', again('h', ['q', 'r'])).join(), /again to another route/);
    assert.match(reasons('at-least-once', again('h', ['r'])).join(), /again to another route/);
    assert.match(reasons('at-most-once', again('h', ['q'])).join(), /repeated by its producer/);
    assert.match(reasons('at-least-once', (record) => record.confirmed('p/1/1', 1)).join(), /never recorded: p\/1\/1/);
    assert.match(reasons('at-least-once', (record) => record.settle('q', 'c', 'p/1/1')).join(), /a settlement of/);
    assert.match(reasons('at-least-once', (record) => record.publish('oops', 1, 'h', [])).join(), /producer\/epoch/);
    assert.match(
      reasons('at-least-once', (record) => record.faultProof('kill', { kind: 'lost-bytes', bytes: 1 })).join(),
      /a fault that was never recorded: kill/,
    );
    const twice = (record: MemoryRecorder): void => {
      record.publish('p/1/1', 1, 'h', []);
      record.rejected('p/1/1', 1);
      record.rejected('p/1/1', 1);
    };
    assert.match(reasons('at-least-once', twice).join(), /answered twice/);
  });

  it('but takes a confirm that came after the time-out as the answer', () => {
    const verdict = judge(
      'at-least-once',
      (record) => {
        record.publish('p/1/1', 1, 'h', ['q']);
        record.unknown('p/1/1', 1);
        record.confirmed('p/1/1', 1);
        record.delivered('q', 'q#1', 'p/1/1', 'h', false);
      },
      { minimums: { ...NO_MINIMUMS, unknown: 1 } },
    );
    assert.equal(verdict.verdict, 'held');
    assert.equal(verdict.counts.confirmed, 1);
  });

  it('no longer when something broke: that is told, with what it lacked besides', () => {
    const verdict = judge('at-least-once', (record) => {
      record.publish('p/1/1', 1, 'h', ['q']);
      record.confirmed('p/1/1', 1);
    });
    assert.equal(verdict.verdict, 'broken');
    assert.deepEqual(verdict.reasons, ['1 confirmed messages lost']);
    assert.equal(verdict.notes.length, 3);
    assert.match(verdict.notes[0] ?? '', /^besides: 1 messages confirmed/);
  });

  it('never for want of faults against a broker that is not ours, which the verdict says', () => {
    const run = ample({ redelivered: false });
    assert.equal(judge('at-most-once', run).verdict, 'void');
    const foreign = judge('at-most-once', run, { injected: false });
    assert.equal(foreign.verdict, 'held');
    assert.deepEqual(foreign.notes, ['no fault was injected: the broker is not ours to fault']);
  });
});
