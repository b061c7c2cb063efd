import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { replyText } from '../../../src/wire/amqp/amqp-error.ts';

test("a reply's text has the code's name in front", () => {
  assert.equal(replyText('NOT_FOUND', "no queue 'x' in vhost '/'"), "NOT_FOUND - no queue 'x' in vhost '/'");
  assert.equal(replyText('INTERNAL_ERROR', ''), 'INTERNAL_ERROR');
});

test('a long text is cut so that a short string holds it, and stays UTF-8', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 240, maxLength: 400 }), (message) => {
      const text = replyText('NOT_FOUND', message);
      assert.ok(Buffer.byteLength(text) <= 255);
      if (Buffer.byteLength(message) > 243) assert.ok(text.endsWith('...'));
      assert.ok(!text.includes('\ufffd') || message.includes('\ufffd'));
    }),
  );
});
