import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Death, deathHeaders, isAutomaticCycle } from '../../../src/broker/dead-letter/death.ts';
import {
  decodeFieldTable,
  encodeFieldTable,
  type FieldTable,
  FieldTimestamp,
} from '../../../src/format/field-table.ts';

const death: Death = {
  reason: 'expired',
  queue: 'a',
  timeMs: 1_795_386_794_999,
  exchange: 'in',
  routingKeys: ['k', 'cc'],
  expiration: '60000',
};

const readBack = (table: FieldTable) => {
  const bytes = encodeFieldTable(table);
  return { table: decodeFieldTable(bytes, 0, bytes.length), bytes };
};

test('the first death has its own headers, with the types that RabbitMQ gives them', () => {
  const headers = deathHeaders({ other: 1 }, death);
  assert.deepEqual(headers, {
    'x-death': [
      {
        count: 1n,
        reason: 'expired',
        queue: 'a',
        time: new FieldTimestamp(1_795_386_794),
        exchange: 'in',
        'routing-keys': ['k', 'cc'],
        'original-expiration': '60000',
      },
    ],
    'x-first-death-reason': 'expired',
    'x-first-death-queue': 'a',
    'x-first-death-exchange': 'in',
  });
  assert.ok(readBack(headers).bytes.includes('\x05countl'), 'the count is 64 bits wide');
});

test('one more death of the same queue and reason counts, comes first, and keeps its time', () => {
  let headers: FieldTable = readBack(deathHeaders(null, { ...death, expiration: undefined })).table;
  const step = (next: Partial<Death>) => {
    const changed = deathHeaders(headers, { ...death, expiration: undefined, timeMs: 5000, ...next });
    const { table, bytes } = readBack({ ...headers, ...changed });
    assert.ok(!bytes.includes('\x05countI'), 'every count stays 64 bits wide');
    headers = table;
  };
  step({ queue: 'b', reason: 'rejected' });
  step({});
  const deaths = (headers['x-death'] as FieldTable[]).map(({ queue, reason, count, time }) => [
    queue,
    reason,
    count,
    (time as FieldTimestamp).seconds,
  ]);
  assert.deepEqual(deaths, [
    ['a', 'expired', 2, 1_795_386_794],
    ['b', 'rejected', 1, 5],
  ]);
  assert.equal(headers['x-first-death-queue'], 'a');
});

test("a client's own x-death does no harm", () => {
  assert.deepEqual(Object.keys(deathHeaders({ 'x-death': 'bogus' }, death)), ['x-death']);
  const odd = deathHeaders({ 'x-death': ['bogus', { queue: 'a', reason: 'expired' }] }, death)['x-death'];
  assert.deepEqual(odd, [{ queue: 'a', reason: 'expired', count: 1n }, 'bogus']);
});

test('a cycle is automatic when no rejection lies in it', () => {
  const deaths = (...pairs: [string, string][]) => pairs.map(([queue, reason]) => ({ queue, reason }));
  assert.equal(isAutomaticCycle('a', undefined), false);
  assert.equal(isAutomaticCycle('a', deaths(['b', 'expired'])), false);
  assert.equal(isAutomaticCycle('a', deaths(['a', 'expired'])), true);
  assert.equal(isAutomaticCycle('a', deaths(['b', 'maxlen'], ['a', 'expired'])), true);
  assert.equal(isAutomaticCycle('a', deaths(['b', 'rejected'], ['a', 'expired'])), false);
  assert.equal(isAutomaticCycle('a', deaths(['b', 'expired'], ['a', 'expired'], ['c', 'rejected'])), true);
  assert.equal(isAutomaticCycle('a', [...deaths(['b', 'expired']), 'bogus', ...deaths(['a', 'expired'])]), false);
});
