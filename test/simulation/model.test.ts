import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Copy, Model, ModelQueue } from './model.ts';

it('what is settled in a batch that may be refused may be ready, once nobody holds it', () => {
  const model = new Model();
  const queue = new ModelQueue({ key: 'q', durable: true, limits: { maxLength: 1, overflow: 'reject' }, value: null });
  const traits = { messageId: 1, bodyBytes: 10, priority: 0, expiresAt: 0, dueAt: 0, refusable: false };
  const copy = new Copy(queue, { ...traits, appendId: 1, identified: false, appendedBy: model.unit('batch', true) });
  queue.copies.set(1, copy);
  assert.deepEqual(queue.mostReady(false), { count: 1, bytes: 10 });
  const hold = { released: false };
  const unit = model.unit('batch', true);
  copy.removal = { kind: 'ack', unit, maybe: false };
  copy.takenFrom = hold;
  unit.refusable = true;
  assert.equal(queue.mostReady(false).count, 0, 'refused, it is held');
  hold.released = true;
  assert.equal(queue.mostReady(false).count, 1);
  unit.refusable = false;
  assert.deepEqual([queue.mostReady(false).count, queue.mostReady(true).count], [0, 1], 'for want of space');
  unit.refusable = true;
  unit.state = 'done';
  assert.equal(queue.mostReady(true).count, 0);
});
