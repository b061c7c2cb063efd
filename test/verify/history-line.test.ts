import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeLine, encodeLine, encodeOrigin, HISTORY_VERSION } from '../../src/verify/history-line.ts';
import { HistoryError, messageId, parseMessageId, type HistoryEvent } from '../../src/verify/history.ts';

const at = fc.maxSafeNat();
const name = fc.string({ unit: 'binary' });
const id = fc
  .tuple(name, fc.nat(), fc.maxSafeNat())
  .map(([producer, epoch, sequence]) => messageId(producer, epoch, sequence));
const how = fc.constantFrom('ack' as const, 'drop' as const, 'requeue' as const);
const proof = fc.oneof(
  fc.record({ kind: fc.constant('pid' as const), before: fc.nat(), after: fc.nat() }),
  fc.record({ kind: fc.constant('lost-bytes' as const), bytes: fc.nat() }),
  fc.record({ kind: fc.constant('counter' as const), name, before: fc.nat(), after: fc.nat() }),
);
const yes = fc.constant(true as const);

const event: fc.Arbitrary<HistoryEvent> = fc.oneof(
  fc.record(
    {
      type: fc.constant('publish' as const),
      at,
      id,
      attempt: fc.nat(),
      hash: name,
      route: fc.array(name),
      unordered: yes,
    },
    { requiredKeys: ['type', 'at', 'id', 'attempt', 'hash', 'route'] },
  ),
  fc.record({
    type: fc.constantFrom('publish-ok' as const, 'publish-rejected' as const, 'publish-unknown' as const),
    at,
    id,
    attempt: fc.nat(),
  }),
  fc.record({ type: fc.constant('subscribe' as const), at, queue: name, consumer: name }),
  fc.record({
    type: fc.constant('deliver' as const),
    at,
    queue: name,
    consumer: name,
    id,
    hash: name,
    redelivered: fc.boolean(),
  }),
  fc.record({
    type: fc.constantFrom(
      'settle' as const,
      'settle-ok' as const,
      'settle-refused' as const,
      'settle-unknown' as const,
    ),
    at,
    queue: name,
    consumer: name,
    id,
    how,
  }),
  fc.record(
    { type: fc.constant('effect' as const), at, queue: name, id, hash: name },
    { requiredKeys: ['type', 'at', 'queue', 'id'] },
  ),
  fc.record(
    {
      type: fc.constant('removed' as const),
      at,
      queue: name,
      id,
      reason: fc.constantFrom('expired' as const, 'overflow' as const, 'dead-letter' as const, 'purged' as const),
      to: fc.array(name),
      maybe: yes,
    },
    { requiredKeys: ['type', 'at', 'queue', 'reason'] },
  ),
  fc.record(
    { type: fc.constant('fault' as const), at, name, what: name, proof },
    { requiredKeys: ['type', 'at', 'name', 'what'] },
  ),
  fc.record({ type: fc.constant('fault-proof' as const), at, name, proof }),
);

/** fast-check makes objects without a prototype. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

describe('a line of a history', () => {
  it('gives back every event, on one line', () => {
    fc.assert(
      fc.property(event, (original) => {
        const line = encodeLine(original);
        assert.equal(line.indexOf('\n'), line.length - 1);
        assert.deepEqual(plain(decodeLine(line.trimEnd())), plain(original));
      }),
    );
  });

  it('writes the keys that history.ts documents', () => {
    const publish = encodeLine({
      type: 'publish',
      at: 7,
      id: 'orders/1/42',
      attempt: 1,
      hash: 'ab',
      route: ['payment'],
    });
    assert.equal(publish, '{"t":7,"k":"p","i":"orders/1/42","a":1,"h":"ab","r":["payment"]}\n');
  });

  it('takes an origin line for no event', () => {
    assert.equal(decodeLine(encodeOrigin('payment', 1, 2).trimEnd()), undefined);
  });

  it('refuses a newer format and says what to do', () => {
    assert.throws(() => decodeLine(`{"t":1,"k":"o","v":${HISTORY_VERSION + 1},"n":"x","p":1}`), {
      name: 'HistoryError',
      code: 'NEWER_FORMAT',
      message: /use a newer postrider/,
    });
  });

  it('refuses what is no event with the key that is wrong', () => {
    for (const [line, message] of [
      ['{"t":1', /not a JSON object/],
      ['null', /not a JSON object/],
      ['{"k":"d"}', /"t" is not a number/],
      ['{"t":1,"k":"z"}', /unknown kind of event "z"/],
      ['{"t":1,"k":"d","q":1}', /"q" is not a string/],
      ['{"t":1,"k":"s","q":"q","c":"c","i":"p/1/1","w":"eat"}', /"w" is none of ack, drop, requeue/],
      ['{"t":1,"k":"p","i":"p/1/1","a":1,"h":"x","r":[1]}', /"r" is not a list of strings/],
      ['{"t":1,"k":"f+","n":"kill","b":{"pid":[1]}}', /"pid" is not a pair/],
    ] as const) {
      assert.throws(() => decodeLine(line), { code: 'DAMAGED_LINE', message }, line);
    }
  });

  it('never throws anything but a HistoryError, whatever the bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.object().map((value) => JSON.stringify({ t: 1, ...value })),
        ),
        (line) => {
          try {
            decodeLine(line);
          } catch (error) {
            assert.ok(error instanceof HistoryError);
          }
        },
      ),
    );
  });
});

describe('a message id', () => {
  it('holds producer, epoch and sequence, whatever the producer is called', () => {
    assert.deepEqual(parseMessageId('shop/eu/orders/1700000000000/42'), {
      producer: 'shop/eu/orders',
      epoch: 1_700_000_000_000,
      sequence: 42,
    });
  });

  it('is none without the three', () => {
    for (const text of ['', 'a', 'a/1', '/1/2', 'a//2', 'a/1/', 'a/b/2', 'a/1/x', 'a/1/1.5']) {
      assert.equal(parseMessageId(text), undefined, text);
    }
  });
});
