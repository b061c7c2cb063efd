import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '../../src/format/byte-writer.ts';
import { FormatError } from '../../src/format/format-error.ts';

test('what makes the buffer grow is written into the grown buffer', () => {
  for (const initialBytes of [1, 2, 3, 5, 8]) {
    const writer = new ByteWriter(initialBytes);
    const mark = writer.beginBlock();
    writer.u8(1);
    writer.u16(0x0203);
    writer.u32(0x04050607);
    writer.u64(0x08n);
    writer.shortString('short');
    writer.longString('a long string');
    writer.raw(Buffer.from([9, 9]));
    writer.endBlock(mark);
    const expected =
      '\x00\x00\x00\x28\x01\x02\x03\x04\x05\x06\x07\x00\x00\x00\x00\x00\x00\x00\x08\x05short\x00\x00\x00\x0da long string\x09\x09';
    assert.equal(writer.bytes().toString('latin1'), expected);
  }
});

test('a short string of more than 255 bytes is refused', () => {
  assert.throws(() => new ByteWriter().shortString('x'.repeat(256)), FormatError);
});
