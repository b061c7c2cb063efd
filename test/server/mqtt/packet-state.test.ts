import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PacketState } from '../../../src/server/mqtt/packet-state.ts';

const id = fc.integer({ min: 1, max: 0xffff });

function stored(received: readonly number[], released: readonly number[]): PacketState {
  const state = new PacketState();
  for (const each of received) state.receive(each);
  for (const each of released) state.release(each);
  return PacketState.decode(state.encode());
}

test('packet ids of QoS 2 are what they were when they are read again', () => {
  fc.assert(
    fc.property(fc.array(id), fc.array(id), (received, released) => {
      const state = stored(received, released);
      assert.deepEqual(new Set(state.received), new Set(received));
      assert.deepEqual(new Set(state.released), new Set(released));
    }),
  );
  assert.ok(PacketState.decode(undefined).isEmpty);
});

test('a client that never sends PUBREL or PUBCOMP makes no value of more than 16 KiB and some', () => {
  const all = Array.from({ length: 0xffff }, (_, at) => at + 1);
  for (const count of [4_096, 4_097, 0xffff]) {
    const some = all.slice(0, count);
    const state = stored(some, some);
    assert.deepEqual(new Set(state.received), new Set(some));
    assert.deepEqual(new Set(state.released), new Set(some));
    assert.ok(state.encode().length < 17_000);
  }
});
