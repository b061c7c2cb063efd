import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { copyBytes, equalBytes, viewOf } from '../../src/format/copy.ts';

test('any range is copied whole, and nothing beside it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(8), fc.nat(8), (bytes, before, at) => {
      const source = Buffer.concat([Buffer.alloc(before, 7), bytes, Buffer.alloc(3, 7)]);
      const target = Buffer.alloc(at + bytes.length + 5, 0xee);
      const targetView = new DataView(target.buffer, target.byteOffset, target.length);
      const end = copyBytes(source, before, before + bytes.length, target, targetView, at);
      assert.equal(end, at + bytes.length);
      const expected = Buffer.concat([Buffer.alloc(at, 0xee), bytes, Buffer.alloc(5, 0xee)]);
      assert.ok(target.equals(expected));
      assert.ok(equalBytes(source, viewOf(source), before, target, targetView, at, bytes.length));
    }),
  );
});

test('ranges that differ in one byte are not equal', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 60 }), fc.nat(), (bytes, at) => {
      const other = Buffer.from(bytes);
      const index = at % bytes.length;
      other[index] = other[index]! ^ 1;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      assert.ok(!equalBytes(bytes, view, 0, other, viewOf(other), 0, bytes.length));
    }),
  );
});
