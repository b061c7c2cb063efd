import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  checkProperties,
  decodeProperties,
  encodeProperties,
  findProperty,
  readHeaders,
  readStringProperty,
  rewriteProperties,
} from '../../src/format/basic-properties.ts';
import type { BasicProperties } from '../../src/format/basic-properties.ts';
import { FormatError } from '../../src/format/format-error.ts';

const text = fc.string({ maxLength: 50 });
const properties = fc.record(
  {
    contentType: text,
    contentEncoding: text,
    headers: fc.dictionary(fc.string({ maxLength: 20 }), fc.oneof(text, fc.integer(), fc.boolean()), { maxKeys: 3 }),
    deliveryMode: fc.nat(255),
    priority: fc.nat(255),
    correlationId: text,
    replyTo: text,
    expiration: text,
    messageId: text,
    timestamp: fc.nat(),
    type: text,
    userId: text,
    appId: text,
    clusterId: text,
  },
  { requiredKeys: [] },
) as fc.Arbitrary<BasicProperties>;

function plain(value: BasicProperties): BasicProperties {
  return value.headers === undefined ? { ...value } : { ...value, headers: { ...value.headers } };
}

test('properties survive a round trip', () => {
  fc.assert(
    fc.property(properties, (value) => {
      const bytes = encodeProperties(value);
      checkProperties(bytes, 0, bytes.length);
      assert.deepEqual(plain(decodeProperties(bytes, 0, bytes.length)), plain(value));
      assert.equal(readStringProperty(bytes, 0, bytes.length, 'expiration'), value.expiration);
      assert.equal(findProperty(bytes, 0, bytes.length, 'priority') >= 0, value.priority !== undefined);
    }),
  );
});

test('changed or cut bytes give properties or a FormatError, and check and decode agree', () => {
  const input = fc.tuple(properties, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.nat());
  fc.assert(
    fc.property(input, ([value, changes, cut]) => {
      const whole = encodeProperties(value);
      const bytes = Buffer.from(whole.subarray(0, whole.length - (cut % 3)));
      for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
      assert.equal(
        refusal(() => checkProperties(bytes, 0, bytes.length)),
        refusal(() => decodeProperties(bytes, 0, bytes.length)),
      );
    }),
    { numRuns: 500 },
  );
});

function refusal(read: () => unknown): string {
  try {
    read();
    return 'none';
  } catch (error) {
    assert.ok(error instanceof FormatError, String(error));
    return 'FormatError';
  }
}

test('rewriting sets headers, removes properties and keeps the rest', () => {
  const bytes = encodeProperties({ contentType: 'a/b', headers: { keep: 1, drop: 2 }, expiration: '100', appId: 'x' });
  const rewritten = rewriteProperties(bytes, 0, bytes.length, {
    headers: { drop: undefined, added: ['one'] },
    remove: ['expiration'],
  });
  assert.deepEqual(plain(decodeProperties(rewritten, 0, rewritten.length)), {
    contentType: 'a/b',
    headers: { keep: 1, added: ['one'] },
    appId: 'x',
  });
});

test('rewriting adds headers where there were none', () => {
  const bytes = encodeProperties({ deliveryMode: 2 });
  const rewritten = rewriteProperties(bytes, 0, bytes.length, { headers: { a: 'b' } });
  assert.equal(readHeaders(rewritten, 0, rewritten.length)?.['a'], 'b');
  assert.equal(decodeProperties(rewritten, 0, rewritten.length).deliveryMode, 2);
});

test('rewriting sets reply-to at its place', () => {
  const bytes = encodeProperties({ correlationId: '1', replyTo: 'old', expiration: '9' });
  const rewritten = rewriteProperties(bytes, 0, bytes.length, { replyTo: 'new' });
  assert.deepEqual(decodeProperties(rewritten, 0, rewritten.length), {
    correlationId: '1',
    replyTo: 'new',
    expiration: '9',
  });
});
