import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as ws from 'ws';
import { closeFrame, frameHeader, opcode } from '../../../src/wire/web-socket/protocol.ts';
import { Unframer } from '../../../src/wire/web-socket/unframer.ts';

interface Frame {
  readonly code: number;
  readonly payload: Uint8Array;
  readonly last?: boolean;
}

/** Not among its types. */
const { Sender } = ws as unknown as { Sender: { frame(data: Buffer, options: object): Buffer[] } };

/** As ws makes it for a client. */
function framed({ code, payload, last = true }: Frame): Buffer {
  return Buffer.concat(Sender.frame(Buffer.from(payload), { fin: last, mask: true, opcode: code, readOnly: true }));
}

interface Taken {
  readonly payload: Buffer;
  readonly pings: string[];
  readonly unframer: Unframer;
}

/** Takes `bytes` in pieces that end at `cuts`. */
function take(bytes: Buffer, cuts: readonly number[] = []): Taken {
  const pings: string[] = [];
  const unframer = new Unframer((payload) => pings.push(payload.toString('hex')));
  const payload: Buffer[] = [];
  const ends = [...new Set(cuts.filter((cut) => cut < bytes.length))].sort((a, b) => a - b);
  let from = 0;
  for (const end of [...ends, bytes.length]) {
    const chunk = Buffer.from(bytes.subarray(from, end));
    payload.push(chunk.subarray(0, unframer.take(chunk, chunk.length)));
    from = end;
  }
  return { payload: Buffer.concat(payload), pings, unframer };
}

const control = fc.record({
  code: fc.constantFrom(opcode.ping, opcode.pong),
  payload: fc.uint8Array({ maxLength: 125 }),
});
const piece = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 300 }) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 65_530, max: 65_540 }).map((size) => new Uint8Array(size).fill(size & 255)),
  },
);
/** A message in parts, with control frames between them. */
const message = fc
  .array(fc.tuple(piece, fc.array(control, { maxLength: 2 })), { minLength: 1, maxLength: 4 })
  .map((parts) =>
    parts.flatMap(([payload, controls], index): Frame[] => [
      { code: index === 0 ? opcode.binary : opcode.continuation, payload, last: index === parts.length - 1 },
      ...controls,
    ]),
  );

test('however frames are cut, and whatever comes between them, the payload is one stream', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), fc.array(fc.nat(2_000)), (messages, cuts) => {
      const frames = messages.flat();
      const { payload, pings, unframer } = take(Buffer.concat(frames.map(framed)), cuts);
      const data = frames.filter(({ code }) => code === opcode.binary || code === opcode.continuation);
      assert.ok(payload.equals(Buffer.concat(data.map((frame) => frame.payload))));
      const pinged = frames.filter(({ code }) => code === opcode.ping);
      assert.deepEqual(
        pings,
        pinged.map((frame) => Buffer.from(frame.payload).toString('hex')),
      );
      assert.equal(unframer.closeCode, null);
    }),
  );
});

test('arbitrary bytes never throw, and what is unframed is no more than what came', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(400)), (bytes, cuts) => {
      const { payload, unframer } = take(Buffer.from(bytes), cuts);
      assert.ok(payload.length <= bytes.length);
      assert.equal(unframer.fault !== null && unframer.closeCode === null, false);
    }),
  );
});

const binary = framed({ code: opcode.binary, payload: Buffer.from('ok') });
const empty = Buffer.alloc(0);

for (const [what, bytes, closeCode] of [
  ['text', framed({ code: opcode.text, payload: Buffer.from('hello') }), 1003],
  ['no mask', Buffer.concat([frameHeader(opcode.binary, 2), Buffer.from('ok')]), 1002],
  ['a reserved bit', Buffer.from([0x80 | 0x40 | opcode.binary, 0x80, 0, 0, 0, 0]), 1002],
  ['an unknown data opcode', framed({ code: 3, payload: empty }), 1002],
  ['an unknown control opcode', framed({ code: 11, payload: empty }), 1002],
  ['a continuation of nothing', framed({ code: opcode.continuation, payload: empty }), 1002],
  [
    'a message inside another',
    Buffer.concat([framed({ code: opcode.binary, payload: empty, last: false }), binary]),
    1002,
  ],
  ['a ping in parts', framed({ code: opcode.ping, payload: empty, last: false }), 1002],
  ['a long ping', framed({ code: opcode.ping, payload: Buffer.alloc(126) }), 1002],
  ['half a close code', framed({ code: opcode.close, payload: Buffer.from([3]) }), 1002],
  ['a close code that is never sent', framed({ code: opcode.close, payload: Buffer.from([0x03, 0xee]) }), 1002],
  ['a reason that is no UTF-8', framed({ code: opcode.close, payload: Buffer.from([0x03, 0xe8, 0xff]) }), 1007],
] as const) {
  test(`closes with ${closeCode} at ${what}, once what came before was taken`, () => {
    const { payload, unframer } = take(Buffer.concat([binary, bytes, binary]));
    assert.equal(payload.toString(), 'ok');
    assert.equal(unframer.closeCode, closeCode);
    assert.notEqual(unframer.fault, null);
  });
}

test('a close is answered with its own code, and nothing after it is looked at', () => {
  for (const [payload, closeCode] of [
    [empty, 1000],
    [closeFrame(1001).subarray(2), 1001],
    [Buffer.concat([closeFrame(4321).subarray(2), Buffer.from('bye ✓')]), 4321],
  ] as const) {
    const taken = take(Buffer.concat([binary, framed({ code: opcode.close, payload }), binary]));
    assert.equal(taken.payload.toString(), 'ok');
    assert.deepEqual([taken.unframer.closeCode, taken.unframer.fault], [closeCode, null]);
  }
});

test('a frame of any announced length keeps nothing', () => {
  const header = Buffer.from([0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
  const before = process.memoryUsage().arrayBuffers;
  const { payload, unframer } = take(Buffer.concat([header, Buffer.alloc(100)]));
  assert.equal(payload.length, 100);
  assert.equal(unframer.closeCode, null);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024);
});
