import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OffsetHeader } from '../../../src/broker/stream/offset-header.ts';
import { emptyDelivery } from '../../../src/engine/local/empty-delivery.ts';
import { type BasicProperties, decodeProperties, encodeProperties } from '../../../src/format/basic-properties.ts';

const shortText = fc.string({ maxLength: 20 });
const headers = fc.dictionary(
  fc.oneof(fc.constantFrom('x-stream-offset', 'x-stream-offset2', 'a'), fc.string({ minLength: 1, maxLength: 12 })),
  fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.integer(), { maxLength: 3 })),
  { maxKeys: 5 },
);
const properties: fc.Arbitrary<BasicProperties> = fc.record(
  {
    contentType: shortText,
    contentEncoding: shortText,
    headers,
    deliveryMode: fc.constantFrom(1, 2),
    priority: fc.nat(9),
    correlationId: shortText,
    messageId: fc.string({ maxLength: 80 }),
    timestamp: fc.nat(),
    appId: shortText,
  },
  { requiredKeys: [] },
);
const message = fc.record({
  properties,
  envelope: fc.string({ maxLength: 30 }),
  repeats: fc.integer({ min: 1, max: 3 }),
});

test('every delivery has its own offset beside all that its message had', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 12 }), fc.nat(2 ** 40), (messages, first) => {
      const header = new OffsetHeader();
      const delivery = emptyDelivery();
      let number = first + 1;
      messages.forEach(({ properties: given, envelope, repeats }, envelopeId) => {
        const encoded = encodeProperties(given);
        for (let n = 0; n < repeats; n++, number++) {
          const head = Buffer.concat([Buffer.from(`..${envelope}`), encoded, Buffer.from('....')]);
          delivery.head = head;
          delivery.envelopeStart = 2;
          delivery.envelopeEnd = 2 + Buffer.byteLength(envelope);
          delivery.propertiesStart = delivery.envelopeEnd;
          delivery.propertiesEnd = delivery.propertiesStart + encoded.length;
          delivery.envelopeId = envelopeId;
          delivery.number = number;
          const before = decodeProperties(head, delivery.propertiesStart, delivery.propertiesEnd);
          header.add(delivery);
          const after = decodeProperties(delivery.head, delivery.propertiesStart, delivery.propertiesEnd);
          const { 'x-stream-offset': offset, ...others } = after.headers!;
          assert.equal(offset, number - 1);
          const { 'x-stream-offset': _before, ...othersBefore } = before.headers ?? {};
          assert.deepEqual({ ...after, headers: others }, { ...before, headers: othersBefore });
          const envelopeBytes = delivery.head.subarray(delivery.envelopeStart, delivery.envelopeEnd);
          assert.equal(envelopeBytes.toString(), envelope);
        }
      });
    }),
    { numRuns: 300 },
  );
});
