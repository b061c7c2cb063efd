import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { check } from '../../src/verify/checker.ts';
import { NO_MINIMUMS } from '../../src/verify/minimums.ts';
import { MemoryRecorder } from '../../src/verify/recorder.ts';
import { renderReport, renderTable } from '../../src/verify/report.ts';

function store(orders: number): MemoryRecorder {
  const record = new MemoryRecorder();
  for (let sequence = 1; sequence <= orders; sequence++) {
    const id = `orders/1/${sequence}`;
    record.publish(id, 1, 'h', ['q.inventory', 'q.payment']);
    record.confirmed(id, 1);
    record.delivered('q.inventory', 'inventory#1', id, 'h', false);
    record.delivered('q.payment', 'payment#1', id, 'h', sequence % 100 === 0);
  }
  return record;
}

const OPTIONS = { minimums: NO_MINIMUMS };
const LABELS = {
  noun: 'orders',
  heading: 'service',
  queues: { 'q.payment': 'payment', 'q.inventory': 'inventory' },
};

describe('the table of a verdict', () => {
  it('shows what was confirmed and, by service, received, redelivered and lost', () => {
    const verdict = check(store(1000).events, 'at-least-once', OPTIONS);
    assert.equal(
      renderTable(verdict, LABELS),
      [
        'orders confirmed 1000, unknown 0, rejected 0',
        '',
        'service    received  redelivered  lost',
        'payment        1000           10     0',
        'inventory      1000            0     0',
        '',
        'lost 0',
      ].join('\n'),
    );
  });

  it('adds a column for what else went wrong', () => {
    const record = store(5);
    record.delivered('q.payment', 'payment#1', 'ghost/1/1', 'h', false);
    record.publish('orders/1/6', 1, 'h', ['q.payment']);
    record.confirmed('orders/1/6', 1);
    const lines = renderTable(check(record.events, 'at-least-once', OPTIONS)).split('\n');
    assert.deepEqual(lines.slice(2), [
      'queue        received  redelivered  lost  phantom',
      'q.inventory         5            0     0        0',
      'q.payment           5            0     1        1',
      '',
      'lost 1',
    ]);
  });

  it('counts lost effects under exactly-once, and losses that at-most-once allows', () => {
    const { events } = store(3);
    assert.match(renderTable(check(events, 'exactly-once', OPTIONS)), /\nlost 6$/);
    const record = store(3);
    record.publish('orders/1/4', 1, 'h', ['q.payment']);
    record.confirmed('orders/1/4', 1);
    assert.match(renderTable(check(record.events, 'at-most-once', OPTIONS)), /\nlost 1$/);
  });

  it('ends with the losses of all queues, also of those it does not show', () => {
    const record = store(3);
    record.publish('orders/1/4', 1, 'h', ['q.hidden']);
    record.confirmed('orders/1/4', 1);
    assert.match(renderTable(check(record.events, 'at-least-once', OPTIONS), LABELS), /\nlost 1$/);
  });
});

describe('the report of a verdict', () => {
  it('says the verdict, why, and what was seen of each violation', () => {
    const record = new MemoryRecorder();
    record.publish('orders/1/1', 1, 'h', ['q']);
    record.confirmed('orders/1/1', 1);
    const lines = renderReport(check(record.events, 'at-least-once', { ...OPTIONS, injected: false })).split('\n');
    assert.deepEqual(lines.slice(0, 7), [
      'at-least-once: BROKEN',
      '  1 confirmed messages lost',
      '  note: no fault was injected: the broker is not ours to fault',
      '',
      'lost: orders/1/1 was confirmed and routed to q, but neither delivered there nor lawfully removed.',
      '  {"type":"publish","at":0,"id":"orders/1/1","attempt":1,"hash":"h","route":["q"]}',
      '  {"type":"publish-ok","at":1,"id":"orders/1/1","attempt":1}',
    ]);
    assert.equal(lines.at(-1), 'lost 1');
  });
});
