import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Channel } from 'rabbitmq-client';
import { Settlements } from '../../../src/api/remote/settlements.ts';
import { rejects } from '../bench.ts';

/** A broker's side of a channel: what is out, and what was answered. */
class Unacked {
  active = true;
  readonly out = new Set<number>();
  readonly frames: string[] = [];
  readonly acked: number[] = [];
  readonly requeued: number[] = [];

  constructor(count: number) {
    for (let tag = 1; tag <= count; tag++) this.out.add(tag);
  }

  basicAck({ deliveryTag, multiple }: { deliveryTag: number; multiple: boolean }): void {
    this.frames.push(`ack ${deliveryTag}${multiple ? '+' : ''}`);
    assert.ok(this.out.has(deliveryTag), `unknown delivery tag ${deliveryTag}`);
    for (const tag of [...this.out]) {
      if (tag !== deliveryTag && !(multiple && tag < deliveryTag)) continue;
      this.out.delete(tag);
      this.acked.push(tag);
    }
  }

  basicNack({ deliveryTag }: { deliveryTag: number }): void {
    assert.ok(this.out.delete(deliveryTag), `unknown delivery tag ${deliveryTag}`);
    this.requeued.push(deliveryTag);
  }
}

const settlementsOf = (broker: Unacked): Settlements => new Settlements(broker as unknown as Channel);

describe('settlements', () => {
  it('are one frame for a run of neighbours', () => {
    const broker = new Unacked(10);
    const settlements = settlementsOf(broker);
    for (const tag of [1, 2, 3, 5]) settlements.ack(tag);
    settlements.flush();
    assert.deepEqual(broker.frames, ['ack 3+', 'ack 5']);
    settlements.requeue(4);
    settlements.ack(7);
    settlements.ack(6);
    settlements.flush();
    assert.deepEqual(broker.frames.slice(2), ['ack 7+']);
    assert.deepEqual(broker.requeued, [4]);
    assert.deepEqual([...broker.out], [8, 9, 10]);
  });

  it('never settle what nobody settled, in whichever order', () => {
    const orders = fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.constantFrom('ack', 'requeue', 'flush')), {
      maxLength: 80,
    });
    fc.assert(
      fc.property(orders, (steps) => {
        const broker = new Unacked(40);
        const settlements = settlementsOf(broker);
        const acked = new Set<number>();
        const requeued = new Set<number>();
        for (const [tag, step] of steps) {
          if (step === 'flush') settlements.flush();
          else if (acked.has(tag) || requeued.has(tag)) continue;
          else if (step === 'ack') {
            acked.add(tag);
            settlements.ack(tag);
          } else {
            requeued.add(tag);
            settlements.requeue(tag);
          }
        }
        settlements.flush();
        assert.deepEqual(new Set(broker.acked), acked);
        assert.deepEqual(new Set(broker.requeued), requeued);
      }),
    );
  });

  it('are lost with their channel', async () => {
    const broker = new Unacked(2);
    const settlements = settlementsOf(broker);
    const acked = settlements.acked(1);
    broker.active = false;
    await rejects(acked, 'DELIVERY_LOST');
    await rejects(() => settlements.requeue(2), 'DELIVERY_LOST');
    assert.deepEqual(broker.frames, []);
  });
});
