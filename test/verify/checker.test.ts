import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { check, type CheckOptions } from '../../src/verify/checker.ts';
import { NO_MINIMUMS } from '../../src/verify/minimums.ts';
import { MemoryRecorder } from '../../src/verify/recorder.ts';
import type { Guarantee, Rule } from '../../src/verify/verdict.ts';

/** What a history breaks, as `{ rule: times }` of the rules that are broken at all. */
function broken(
  guarantee: Guarantee,
  tell: (record: MemoryRecorder) => void,
  options: CheckOptions = {},
): Partial<Record<Rule, number>> {
  const record = new MemoryRecorder();
  tell(record);
  const { rules } = check(record.events, guarantee, { minimums: NO_MINIMUMS, ...options });
  return Object.fromEntries(Object.entries(rules).filter(([, times]) => times > 0));
}

/** Publishes `p/1/sequence` with hash `h`, confirmed. */
function publish(record: MemoryRecorder, sequence: number, route: readonly string[] = ['q'], attempt = 1): string {
  const id = `p/1/${sequence}`;
  record.publish(id, attempt, 'h', route);
  record.confirmed(id, attempt);
  return id;
}

const TRUE_ORDER: CheckOptions = { synchronous: true };

describe('lost', () => {
  it('is judged in each queue of the route', () => {
    const found = broken('at-least-once', (record) => {
      const id = publish(record, 1, ['a', 'b', 'c']);
      record.delivered('b', 'b#1', id, 'h', false);
    });
    assert.deepEqual(found, { lost: 2 });
  });

  it('is never an unknown or a rejected message', () => {
    const found = broken('at-least-once', (record) => {
      record.publish('p/1/1', 1, 'h', ['q']);
      record.publish('p/1/2', 1, 'h', ['q']);
      record.unknown('p/1/2', 1);
      record.publish('p/1/3', 1, 'h', ['q']);
      record.rejected('p/1/3', 1);
    });
    assert.deepEqual(found, {});
  });

  it('counts a message as confirmed if any attempt was, in whatever order the answers came', () => {
    const found = broken('at-least-once', (record) => {
      record.publish('p/1/1', 1, 'h', ['q']);
      record.unknown('p/1/1', 1);
      record.publish('p/1/1', 2, 'h', ['q']);
      record.confirmed('p/1/1', 2);
      record.publish('p/1/2', 1, 'h', ['q']);
      record.rejected('p/1/2', 1);
      record.publish('p/1/2', 2, 'h', ['q']);
      record.confirmed('p/1/2', 2);
      record.publish('p/1/3', 1, 'h', ['q']);
      record.publish('p/1/3', 2, 'h', ['q']);
      record.confirmed('p/1/3', 1);
      record.rejected('p/1/3', 2);
    });
    assert.deepEqual(found, { lost: 3 });
  });

  it('is forgiven for a lawful removal, known or possible, and for a purge of what was published before', () => {
    const found = broken('at-least-once', (record) => {
      record.removed('q', publish(record, 1), 'expired');
      record.removed('q', publish(record, 2), 'overflow', { maybe: true });
      publish(record, 3);
      record.emptied('q');
      publish(record, 4);
      publish(record, 5, ['other']);
    });
    assert.deepEqual(found, { lost: 2 });
  });

  it('follows a dead letter to the queue that holds it now', () => {
    const found = broken('at-least-once', (record) => {
      record.removed('q', publish(record, 1), 'dead-letter', { to: ['dead'] });
      record.removed('q', publish(record, 2), 'dead-letter', { to: ['dead'] });
      record.delivered('dead', 'dead#1', 'p/1/2', 'h', false);
      record.removed('q', publish(record, 3), 'dead-letter', { to: ['dead'], maybe: true });
    });
    assert.deepEqual(found, { lost: 1 });
  });

  it('expects a message again that a cycle brought back', () => {
    const around = (record: MemoryRecorder): void => {
      const id = publish(record, 1);
      record.delivered('q', 'q#1', id, 'h', false);
      record.removed('q', id, 'dead-letter', { to: ['wait'] });
      record.removed('wait', id, 'expired', { to: ['q'] });
    };
    assert.deepEqual(broken('at-least-once', around), { lost: 1 });
    const cameBack = (record: MemoryRecorder): void => {
      around(record);
      record.delivered('q', 'q#1', 'p/1/1', 'h', false);
    };
    assert.deepEqual(broken('at-least-once', cameBack, TRUE_ORDER), {});
  });

  it('is, where every message had to be settled, also what was delivered and then forgotten', () => {
    const tell = (record: MemoryRecorder): void => {
      record.delivered('q', 'q#1', publish(record, 1), 'h', false);
      record.delivered('q', 'q#1', publish(record, 2), 'h', false);
      record.settle('q', 'q#1', 'p/1/2');
      record.delivered('q', 'q#1', publish(record, 3), 'h', false);
      record.settle('q', 'q#1', 'p/1/3', 'requeue');
    };
    assert.deepEqual(broken('at-least-once', tell), {});
    assert.deepEqual(broken('at-least-once', tell, { everySettled: true }), { lost: 2 });
  });

  it('takes only the last holder by its word where events are in true order', () => {
    const tell = (record: MemoryRecorder): void => {
      record.delivered('q', 'frozen', publish(record, 1), 'h', false);
      record.delivered('q', 'successor', 'p/1/1', 'h', true);
      record.settle('q', 'frozen', 'p/1/1');
      record.settleRefused('q', 'frozen', 'p/1/1');
    };
    assert.deepEqual(broken('at-least-once', tell, { everySettled: true, ...TRUE_ORDER }), { lost: 1 });
    assert.deepEqual(broken('at-least-once', tell, { everySettled: true }), {});
  });
});

describe('at-most-once', () => {
  it('allows one delivery in each queue, over crashes too, flagged or not', () => {
    const found = broken('at-most-once', (record) => {
      const id = publish(record, 1, ['a', 'b']);
      record.delivered('a', 'a#1', id, 'h', false);
      record.delivered('b', 'b#1', id, 'h', false);
      record.fault('kill', 'SIGKILL broker', { kind: 'pid', before: 1, after: 2 });
      record.delivered('a', 'a#2', id, 'h', true);
      record.delivered('a', 'a#2', id, 'h', true);
    });
    assert.deepEqual(found, { duplicated: 2 });
  });

  it('may lose, and counts what it lost', () => {
    const record = new MemoryRecorder();
    publish(record, 1);
    const verdict = check(record.events, 'at-most-once', { minimums: NO_MINIMUMS });
    assert.equal(verdict.verdict, 'held');
    assert.equal(verdict.queues['q']?.undelivered, 1);
    assert.equal(verdict.queues['q'].lost, 0);
  });

  it('never delivers what was rejected, even if the answer comes after the delivery', () => {
    const found = broken('at-most-once', (record) => {
      record.publish('p/1/1', 1, 'h', ['q']);
      record.delivered('q', 'q#1', 'p/1/1', 'h', false);
      record.rejected('p/1/1', 1);
    });
    assert.deepEqual(found, { rejectedDelivered: 1 });
  });
});

describe('exactly-once', () => {
  it('asks one effect of each confirmed message in each queue, at most one of an unknown, none of a rejected', () => {
    const found = broken('exactly-once', (record) => {
      const effects = (id: string, queue: string, times: number): void => {
        for (let time = 0; time < times; time++) record.effect(queue, id, 'h');
      };
      const confirmed = publish(record, 1, ['a', 'b', 'c']);
      effects(confirmed, 'a', 1);
      effects(confirmed, 'b', 3);
      record.publish('p/1/2', 1, 'h', ['a', 'b', 'c']);
      effects('p/1/2', 'b', 1);
      effects('p/1/2', 'c', 2);
      record.publish('p/1/3', 1, 'h', ['a', 'b']);
      record.rejected('p/1/3', 1);
      effects('p/1/3', 'b', 2);
    });
    assert.deepEqual(found, { effectMissing: 1, effectRepeated: 3, effectOfRejected: 2 });
  });

  it('knows a repeated publish again: another copy is a repeat', () => {
    const twice = (record: MemoryRecorder): void => {
      record.publish('p/1/1', 1, 'h', ['q']);
      record.unknown('p/1/1', 1);
      publish(record, 1, ['q'], 2);
      record.delivered('q', 'q#1', 'p/1/1', 'h', false);
      record.delivered('q', 'q#1', 'p/1/1', 'h', false);
      record.effect('q', 'p/1/1');
    };
    assert.deepEqual(broken('exactly-once', twice), { unflaggedRepeat: 1 });
    assert.deepEqual(broken('at-least-once', twice), {}, 'a producer that repeats may store two copies');
  });

  it('asks no effect of what was lawfully removed, and judges other queues by delivery', () => {
    const tell = (record: MemoryRecorder): void => {
      record.removed('a', publish(record, 1, ['a']), 'expired');
      record.delivered('b', 'b#1', publish(record, 2, ['b']), 'h', false);
      publish(record, 3, ['b']);
    };
    assert.deepEqual(broken('exactly-once', tell, { effectQueues: ['a'] }), { lost: 1 });
    assert.deepEqual(broken('exactly-once', tell), { effectMissing: 2 });
  });

  it('asks one effect, not two, of a message that a cycle brought back, and one of each copy in a dead-letter queue', () => {
    const effectsAround = (times: number) => (record: MemoryRecorder) => {
      const id = publish(record, 1);
      record.removed('q', id, 'dead-letter', { to: ['q'] });
      for (let time = 0; time < times; time++) record.effect('q', id);
    };
    assert.deepEqual(broken('exactly-once', effectsAround(0)), { effectMissing: 1 });
    assert.deepEqual(broken('exactly-once', effectsAround(1)), {});
    assert.deepEqual(broken('exactly-once', effectsAround(2)), { effectRepeated: 1 });
    const found = broken('exactly-once', (record) => {
      const id = publish(record, 1, ['a', 'b', 'c']);
      record.removed('a', id, 'dead-letter', { to: ['dead'] });
      record.removed('b', id, 'dead-letter', { to: ['dead'] });
      record.removed('c', id, 'dead-letter', { to: ['perhaps'], maybe: true });
      for (let time = 0; time < 3; time++) record.effect('dead', id);
    });
    assert.deepEqual(found, { effectRepeated: 1 });
  });

  it('compares the body that an effect was made of', () => {
    const found = broken('exactly-once', (record) => record.effect('q', publish(record, 1), 'other'));
    assert.deepEqual(found, { corrupted: 1 });
  });

  it('takes an effect of an unpublished message for a phantom', () => {
    assert.deepEqual(
      broken('exactly-once', (record) => record.effect('q', 'p/1/9')),
      { phantom: 1 },
    );
  });
});

describe('phantom', () => {
  it('is a message that nobody published, or that was not routed to the queue', () => {
    const found = broken('at-least-once', (record) => {
      record.delivered('q', 'q#1', publish(record, 1), 'h', false);
      record.delivered('other', 'other#1', 'p/1/1', 'h', false);
      record.delivered('q', 'q#1', 'ghost/1/1', 'h', false);
      record.delivered('q', 'q#1', 'no id at all', 'h', false);
    });
    assert.deepEqual(found, { phantom: 3 });
  });

  it('is not made lawful by a dead-lettering of what nobody published', () => {
    const found = broken('at-least-once', (record) => {
      record.removed('q', 'ghost/1/1', 'dead-letter', { to: ['dead'] });
      record.delivered('dead', 'dead#1', 'ghost/1/1', 'h', false);
    });
    assert.deepEqual(found, { phantom: 1 });
  });

  it('is not a dead letter whose removal was recorded after its delivery', () => {
    const found = broken('at-least-once', (record) => {
      const id = publish(record, 1);
      record.delivered('dead', 'dead#1', id, 'h', false);
      record.removed('q', id, 'dead-letter', { to: ['dead'] });
    });
    assert.deepEqual(found, {});
  });
});

describe('reordered', () => {
  const deliverAll = (record: MemoryRecorder, sequences: readonly number[], consumer = 'q#1'): void => {
    for (const sequence of sequences) record.delivered('q', consumer, `p/1/${sequence}`, 'h', false);
  };

  it('counts a message out of its place once, whether it came too early or too late', () => {
    for (const order of [
      [1, 2, 3, 5, 4, 6],
      [1, 2, 6, 3, 4, 5],
      [2, 3, 4, 5, 1, 6],
    ]) {
      const found = broken('at-least-once', (record) => {
        for (let sequence = 1; sequence <= 6; sequence++) publish(record, sequence);
        deliverAll(record, order);
      });
      assert.deepEqual(found, { reordered: 1 }, order.join());
    }
  });

  it('is judged within one incarnation of a consumer, one queue and one producer', () => {
    const found = broken('at-least-once', (record) => {
      for (let sequence = 1; sequence <= 4; sequence++) publish(record, sequence);
      deliverAll(record, [2, 4], 'q#1');
      deliverAll(record, [1, 3], 'q#2');
      record.publish('another/1/1', 1, 'h', ['q']);
      record.delivered('q', 'q#1', 'another/1/1', 'h', false);
    });
    assert.deepEqual(found, {});
  });

  it('leaves redeliveries, repeated publishes, dead letters and unordered messages out', () => {
    const found = broken('at-least-once', (record) => {
      for (let sequence = 1; sequence <= 5; sequence++) publish(record, sequence, sequence === 3 ? ['from'] : ['q']);
      record.publish('p/1/6', 1, 'h', ['q'], true);
      publish(record, 7);
      deliverAll(record, [7]);
      record.delivered('q', 'q#1', 'p/1/1', 'h', true);
      publish(record, 2, ['q'], 2);
      deliverAll(record, [2]);
      record.removed('from', 'p/1/3', 'dead-letter', { to: ['q'] });
      deliverAll(record, [3, 6]);
    });
    assert.deepEqual(found, { lost: 2 }, 'only 4 and 5 never came');
  });

  it('puts a later epoch after an earlier one, whatever the sequences', () => {
    const inOrder = (ids: readonly string[]) => (record: MemoryRecorder) => {
      for (const id of ids) {
        record.publish(id, 1, 'h', ['q']);
        record.delivered('q', 'q#1', id, 'h', false);
      }
    };
    assert.deepEqual(broken('at-least-once', inOrder(['p/1/8', 'p/2/1', 'p/2/2'])), {});
    assert.deepEqual(broken('at-least-once', inOrder(['p/2/1', 'p/1/8'])), { reordered: 1 });
  });

  it('shows both messages', () => {
    const record = new MemoryRecorder();
    publish(record, 1);
    publish(record, 2);
    deliverAll(record, [2, 1]);
    const [violation] = check(record.events, 'at-least-once').violations;
    assert.equal(violation?.sentence, 'p/1/1 was delivered in q to q#1 right after p/1/2, which was sent later.');
    assert.equal(violation.seen.length, record.events.length);
  });
});

describe('a repeat', () => {
  it('must be flagged; a flag too many is allowed', () => {
    const found = broken('at-least-once', (record) => {
      const id = publish(record, 1);
      record.delivered('q', 'q#1', id, 'h', true);
      record.delivered('q', 'q#1', id, 'h', true);
      record.delivered('q', 'q#1', id, 'h', false);
    });
    assert.deepEqual(found, { unflaggedRepeat: 1 });
  });

  it('recorded by two processes may stand in the wrong order: the one without the flag was the first', () => {
    const tell = (record: MemoryRecorder): void => {
      const id = publish(record, 1);
      record.delivered('q', 'quick', id, 'h', true);
      record.delivered('q', 'slow', id, 'h', false);
    };
    assert.deepEqual(broken('at-least-once', tell), {});
    assert.deepEqual(broken('at-least-once', tell, TRUE_ORDER), { unflaggedRepeat: 1 });
  });

  it('of a publish leaves room for as many copies as attempts were not rejected', () => {
    const found = broken('at-least-once', (record) => {
      record.publish('p/1/1', 1, 'h', ['q']);
      record.rejected('p/1/1', 1);
      record.publish('p/1/1', 2, 'h', ['q']);
      record.publish('p/1/1', 3, 'h', ['q']);
      record.confirmed('p/1/1', 3);
      for (let time = 1; time <= 3; time++) record.delivered('q', 'q#1', 'p/1/1', 'h', false);
    });
    assert.deepEqual(found, { unflaggedRepeat: 1 });
  });
});

describe('resurrected', () => {
  const settledThenDelivered = (record: MemoryRecorder, consumer: string): void => {
    record.delivered('q', 'q#1', publish(record, 1), 'h', false);
    record.settle('q', 'q#1', 'p/1/1');
    record.settled('q', 'q#1', 'p/1/1');
    record.subscribe('q', 'q#2');
    record.delivered('q', consumer, 'p/1/1', 'h', true);
  };

  it('is a delivery after a confirmed settlement, to the one who settled or to a later subscriber', () => {
    assert.deepEqual(
      broken('at-least-once', (record) => settledThenDelivered(record, 'q#1')),
      { resurrected: 1 },
    );
    assert.deepEqual(
      broken('at-least-once', (record) => settledThenDelivered(record, 'q#2')),
      { resurrected: 1 },
    );
  });

  it('spares a consumer that may have recorded late, except in true order', () => {
    const subscribedBefore = (record: MemoryRecorder): void => {
      record.subscribe('q', 'old');
      settledThenDelivered(record, 'old');
    };
    const subscribedWhoKnowsWhen = (record: MemoryRecorder): void => settledThenDelivered(record, 'unheard of');
    for (const tell of [subscribedBefore, subscribedWhoKnowsWhen]) {
      assert.deepEqual(broken('at-least-once', tell), {});
      assert.deepEqual(broken('at-least-once', tell, TRUE_ORDER), { resurrected: 1 });
    }
  });

  it('does not follow from a settlement without an answer, a requeue, or one of two copies', () => {
    const found = broken(
      'at-least-once',
      (record) => {
        record.delivered('q', 'q#1', publish(record, 1), 'h', false);
        record.settle('q', 'q#1', 'p/1/1');
        record.settleUnknown('q', 'q#1', 'p/1/1');
        record.delivered('q', 'q#1', 'p/1/1', 'h', true);
        record.settled('q', 'q#1', 'p/1/1', 'requeue');
        record.delivered('q', 'q#1', 'p/1/1', 'h', true);
        record.publish('p/1/2', 1, 'h', ['q']);
        publish(record, 2, ['q'], 2);
        record.delivered('q', 'q#1', 'p/1/2', 'h', false);
        record.settled('q', 'q#1', 'p/1/2');
        record.delivered('q', 'q#1', 'p/1/2', 'h', false);
      },
      TRUE_ORDER,
    );
    assert.deepEqual(found, {});
  });

  it('is also a removed message that comes', () => {
    const found = broken(
      'at-least-once',
      (record) => {
        record.removed('q', publish(record, 1), 'expired');
        record.delivered('q', 'q#1', 'p/1/1', 'h', false);
      },
      TRUE_ORDER,
    );
    assert.deepEqual(found, { resurrected: 1 });
  });
});

describe('a verdict', () => {
  it('counts by outcome and by queue', () => {
    const record = new MemoryRecorder();
    publish(record, 1, ['a', 'b']);
    record.publish('p/1/2', 1, 'h', ['a']);
    record.publish('p/1/3', 1, 'h', ['a']);
    record.rejected('p/1/3', 1);
    record.removed('b', 'p/1/1', 'expired');
    record.delivered('a', 'a#1', 'p/1/1', 'h', false);
    record.delivered('a', 'a#1', 'p/1/1', 'h', true);
    record.delivered('a', 'a#1', 'p/1/2', 'h', false);
    record.settle('a', 'a#1', 'p/1/2');
    record.settled('a', 'a#1', 'p/1/2');
    const { counts, queues } = check(record.events, 'at-least-once', { minimums: NO_MINIMUMS });
    assert.deepEqual(counts, {
      published: 3,
      attempts: 3,
      confirmed: 1,
      unknown: 1,
      rejected: 1,
      unknownAttempts: 1,
      delivered: 3,
      redelivered: 1,
      settled: 1,
      effects: 0,
      faults: 0,
      inFlightAtFault: 0,
    });
    assert.deepEqual([queues['a']?.expected, queues['a']?.received, queues['a']?.redelivered], [1, 2, 1]);
    assert.deepEqual([queues['b']?.expected, queues['b']?.removed, queues['b']?.received], [1, 1, 0]);
  });

  it('keeps the first violations of each rule and counts all', () => {
    const record = new MemoryRecorder();
    for (let sequence = 1; sequence <= 100; sequence++) publish(record, sequence);
    record.delivered('q', 'q#1', 'ghost/1/1', 'h', false);
    const verdict = check(record.events, 'at-least-once', { keep: 3 });
    assert.equal(verdict.rules.lost, 100);
    assert.deepEqual(
      verdict.violations.map(({ rule }) => rule),
      ['lost', 'lost', 'lost', 'phantom'],
    );
    assert.equal(check(record.events, 'at-least-once', { keep: 0 }).verdict, 'broken');
  });

  it('is plain data', () => {
    const record = new MemoryRecorder();
    publish(record, 1);
    const verdict = check(record.events, 'at-least-once');
    assert.deepEqual(JSON.parse(JSON.stringify(verdict)), verdict);
  });

  it('comes without what was seen from a history that can be read once only', () => {
    const record = new MemoryRecorder();
    publish(record, 1);
    const [violation] = check(record.events.values(), 'at-least-once').violations;
    assert.equal(violation?.rule, 'lost');
    assert.deepEqual(violation.seen, []);
  });
});
