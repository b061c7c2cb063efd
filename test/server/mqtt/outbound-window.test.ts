import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mostInFlight, OutboundWindow } from '../../../src/server/mqtt/outbound-window.ts';

test('the packet id of a message in the own mailbox follows from its number', () => {
  const window = new OutboundWindow();
  assert.equal(window.add(1, 1), 1);
  assert.equal(window.add(0x7fff, 2), 0x7fff);
  assert.equal(window.take(1), 1);
  assert.equal(window.add(0x8000, 3), 1);
  assert.equal(window.take(1), 3);
  assert.equal(window.take(1), 0);
});

test('no id is given that is in use, before PUBREC or after it', () => {
  const window = new OutboundWindow();
  assert.equal(window.add(5, 1), 5);
  window.release(6, null);
  const ids = [window.add(5 + 0x7fff, 2), window.add(6 + 0x7fff, 3), window.add(0, 4)];
  assert.equal(new Set([5, 6, ...ids]).size, 5);
  assert.ok(ids.every((id) => id >= 0x8000));
  assert.deepEqual(
    [5, ...ids].map((id) => window.take(id)),
    [1, 2, 3, 4],
  );
  assert.ok(window.complete(6));
  assert.equal(window.count, 0);
});

test('where every id is in use, that is an error', () => {
  const window = new OutboundWindow();
  for (let id = 0x8000; id <= 0xffff; id++) window.release(id, null);
  assert.throws(() => window.add(0, 1), /in use/);
  assert.ok(window.complete(0x9000));
  assert.equal(window.left, 0x7fff);
  assert.equal(window.add(0, 1), 0x9000);
});

test('there is one to give for as many as may be in flight, beside what the connection before left', () => {
  const window = new OutboundWindow();
  for (let id = 0x8000; id < 0x8000 + mostInFlight; id++) window.release(id, null);
  for (let round = 0; round < 4; round++) {
    const ids = Array.from({ length: mostInFlight }, (_, at) => window.add(0, at + 1));
    assert.equal(new Set(ids).size, mostInFlight);
    assert.ok(ids.every((id) => id >= 0x8000 + mostInFlight && id <= 0xffff));
    for (const id of ids) window.take(id);
  }
});
