import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { FieldTable } from '../../../src/format/field-table.ts';
import { ConnectionError } from '../../../src/wire/amqp/amqp-error.ts';
import { FormatError } from '../../../src/format/format-error.ts';
import * as basic from '../../../src/wire/amqp/basic-methods.ts';
import * as channel from '../../../src/wire/amqp/channel-methods.ts';
import * as connection from '../../../src/wire/amqp/connection-methods.ts';
import * as exchange from '../../../src/wire/amqp/exchange-methods.ts';
import type { Arguments, Layout, Method } from '../../../src/wire/amqp/method.ts';
import { frameEnd, frameHeadBytes, frameType } from '../../../src/wire/amqp/protocol.ts';
import * as queue from '../../../src/wire/amqp/queue-methods.ts';

const shortText = fc.string({ unit: 'binary', maxLength: 60 });
const table = fc.dictionary(shortText, fc.oneof(shortText, fc.integer(), fc.boolean()), { maxKeys: 3 }).map((plain) => {
  return Object.assign(Object.create(null), plain) as FieldTable;
});
const value = {
  bit: fc.boolean(),
  octet: fc.nat(0xff),
  short: fc.nat(0xffff),
  long: fc.nat(0xffff_ffff),
  longlong: fc.maxSafeNat(),
  shortstr: shortText,
  longstr: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  table,
};

const methods = [basic, channel, connection, exchange, queue].flatMap((group) => Object.values(group)) as Method[];

function argumentsOf(method: Method): fc.Arbitrary<Arguments<Layout>> {
  const fields = Object.entries(method.layout)
    .filter(([, type]) => !type.startsWith('reserved'))
    .map(([name, type]) => [name, value[type as keyof typeof value]] as const);
  return fc.record(Object.fromEntries(fields), { noNullPrototype: true });
}

describe('methods', () => {
  for (const method of methods) {
    test(`${method.name} survives a round trip`, () => {
      fc.assert(
        fc.property(argumentsOf(method), fc.nat(0xffff), (args, number) => {
          const frame = method.frame(number, args);
          assert.equal(frame[0], frameType.method);
          assert.equal(frame.readUInt16BE(1), number);
          assert.equal(frame.readUInt32BE(3), frame.length - 8);
          assert.equal(frame.readUInt32BE(frameHeadBytes), method.id);
          assert.equal(frame.at(-1), frameEnd);
          assert.deepEqual({ ...method.read(frame, frameHeadBytes + 4, frame.length - 1) }, { ...args });
        }),
        { numRuns: 30 },
      );
    });
  }

  test('no two have the same number', () => {
    assert.equal(new Set(methods.map(({ id }) => id)).size, methods.length);
  });

  test('changed or cut arguments are read or refused, and nothing else is thrown', () => {
    const input = fc.constantFrom(...methods).chain((method) => {
      const changes = fc.array(fc.tuple(fc.nat(), fc.nat(0xff)), { maxLength: 4 });
      return fc.tuple(fc.constant(method), argumentsOf(method), changes, fc.nat(3));
    });
    fc.assert(
      fc.property(input, ([method, args, changes, cut]) => {
        const frame = method.frame(1, args);
        const start = frameHeadBytes + 4;
        const end = Math.max(start, frame.length - 1 - cut);
        for (const [at, byte] of changes) if (end > start) frame[start + (at % (end - start))] = byte;
        try {
          method.read(frame, start, end);
        } catch (error) {
          const isFrameError = error instanceof ConnectionError && error.reply === 'FRAME_ERROR';
          assert.ok(isFrameError || error instanceof FormatError, String(error));
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('a short string that is not UTF-8 is refused', () => {
    const frame = queue.queuePurge.frame(1, { queue: 'xx', noWait: false });
    frame[frameHeadBytes + 7] = 0xff;
    assert.throws(() => queue.queuePurge.read(frame, frameHeadBytes + 4, frame.length - 1), {
      name: 'ConnectionError',
      reply: 'FRAME_ERROR',
      message: 'Malformed UTF-8 in shortstr',
    });
  });

  test('a declared length of 4 GiB allocates nothing', () => {
    const bytes = Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2]);
    const undecodable = { name: 'ConnectionError', message: 'cannot decode <<255,255,255,255,1,2>>' };
    assert.throws(() => connection.connectionSecureOk.read(bytes, 0, bytes.length), undecodable);
  });
});
