import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deposits } from '../../../src/server/mqtt/deposits.ts';

test('a thousand messages may wait, or a mebibyte of them, and half has to be sent before more do', () => {
  for (const bytes of [0, 64 * 1024]) {
    const deposits = new Deposits();
    let count = 0;
    for (; !deposits.isFull; count++) deposits.put(bytes);
    assert.equal(count, bytes === 0 ? 1_000 : 16);
    let sent = 0;
    for (; !deposits.isHalfEmpty; sent++) deposits.sent(bytes);
    assert.equal(sent, count / 2);
  }
});

test('what is gone from the mailbox without having been sent is room again', () => {
  const deposits = new Deposits();
  while (!deposits.isFull) deposits.put(10);
  deposits.atMost(2_000, 20_000);
  assert.ok(deposits.isFull);
  deposits.atMost(500, 5_000);
  assert.ok(deposits.isHalfEmpty);
  // More of them are sent than were counted, since some came back.
  for (let i = 0; i < 600; i++) deposits.sent(10);
  for (let i = 0; i < 999; i++) deposits.put(10);
  assert.ok(!deposits.isFull);
  deposits.put(10);
  assert.ok(deposits.isFull);
});
