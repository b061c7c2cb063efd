import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { noOrdersBefore, ordersBefore } from '../../src/demo/orders-before.ts';
import { FileRecorder } from '../../src/verify/file-recorder.ts';
import { scratch } from '../cli/postrider.ts';

describe('what a killed shop knows of its orders', () => {
  it('is what its histories say, of all its lives', async () => {
    const directory = await scratch();
    const others = FileRecorder.in(directory, 'payment');
    assert.deepEqual(ordersBefore(directory, 'shop'), noOrdersBefore);
    const first = new FileRecorder(`${directory}/shop-1.history.jsonl`, 'shop');
    for (const number of [1, 2, 3]) first.publish(`shop/1/${number}`, 1, 'hash', ['q']);
    first.confirmed('shop/1/2', 1);
    first.close();
    // The kill tore its last line: that order was never sent.
    appendFileSync(first.file, '{"t":5,"k":"p","i":"shop/1/4"');
    assert.deepEqual(ordersBefore(directory, 'shop'), {
      placed: 3,
      confirmed: 1,
      unanswered: new Map([
        [1, 1],
        [3, 1],
      ]),
    });
    const second = new FileRecorder(`${directory}/shop-2.history.jsonl`, 'shop');
    second.unknown('shop/1/1', 1);
    second.publish('shop/1/1', 2, 'hash', ['q']);
    second.publish('shop/1/3', 2, 'hash', ['q']);
    second.confirmed('shop/1/3', 2);
    second.publish('shop/1/4', 1, 'hash', ['q']);
    second.close();
    others.close();
    assert.deepEqual(ordersBefore(directory, 'shop'), {
      placed: 4,
      confirmed: 2,
      unanswered: new Map([
        [1, 2],
        [4, 1],
      ]),
    });
  });
});
