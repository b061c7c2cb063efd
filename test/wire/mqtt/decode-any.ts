import assert from 'node:assert/strict';
import { AckView } from '../../../src/wire/mqtt/ack.ts';
import { decodeConnect } from '../../../src/wire/mqtt/connect-packet.ts';
import { checkPingreq, decodeAuth, decodeDisconnect } from '../../../src/wire/mqtt/disconnect-packet.ts';
import { FixedHeader } from '../../../src/wire/mqtt/fixed-header.ts';
import { packetType, type ProtocolVersion } from '../../../src/wire/mqtt/packet-type.ts';
import { UserPropertyCursor } from '../../../src/wire/mqtt/publish-properties.ts';
import { PublishView } from '../../../src/wire/mqtt/publish-view.ts';
import { decodeSubscribe, decodeUnsubscribe } from '../../../src/wire/mqtt/subscribe-packet.ts';

const header = new FixedHeader();
const publish = new PublishView();
const ack = new AckView();
const cursor = new UserPropertyCursor();

/**
 * Reads the packet at `at` as a server would, with whichever decoder is its type's, and answers its end: -1 where not all of it
 * is within the first `end` bytes. What a view tells must lie within the packet.
 */
export function decodeAny(bytes: Buffer, at: number, end: number, version: ProtocolVersion): number {
  if (!header.read(bytes, at, end, version) || header.end > end) return -1;
  const { type, firstByte, start, end: packetEnd } = header;
  switch (type) {
    case packetType.connect:
      decodeConnect(bytes, start, packetEnd);
      break;
    case packetType.publish:
      publish.read(bytes, firstByte, start, packetEnd, version);
      checkRanges(bytes, start, packetEnd);
      break;
    case packetType.puback:
    case packetType.pubrec:
    case packetType.pubrel:
    case packetType.pubcomp:
      ack.read(bytes, type, start, packetEnd, version);
      assert.ok(ack.packetId > 0);
      break;
    case packetType.subscribe:
      assert.ok(decodeSubscribe(bytes, start, packetEnd, version).subscriptions.length > 0);
      break;
    case packetType.unsubscribe:
      assert.ok(decodeUnsubscribe(bytes, start, packetEnd, version).filters.length > 0);
      break;
    case packetType.pingreq:
      checkPingreq(start, packetEnd);
      break;
    case packetType.disconnect:
      decodeDisconnect(bytes, start, packetEnd, version);
      break;
    case packetType.auth:
      decodeAuth(bytes, start, packetEnd);
      break;
    default:
      assert.fail(`packet type ${type}`);
  }
  return packetEnd;
}

function checkRanges(bytes: Buffer, start: number, end: number): void {
  const { properties } = publish;
  const within = [
    start,
    publish.topicStart,
    publish.topicEnd,
    publish.propertiesStart,
    publish.propertiesEnd,
    publish.payloadStart,
    end,
  ];
  assert.deepEqual(
    within,
    within.toSorted((a, b) => a - b),
  );
  assert.equal(publish.payloadEnd, end);
  for (const [from, to] of [
    [properties.contentTypeStart, properties.contentTypeEnd],
    [properties.responseTopicStart, properties.responseTopicEnd],
    [properties.correlationStart, properties.correlationEnd],
  ] as const) {
    if (from === -1) continue;
    assert.ok(from >= publish.propertiesStart && from <= to && to <= publish.propertiesEnd);
  }
  cursor.begin(bytes, properties);
  let pairs = 0;
  while (cursor.next()) {
    pairs++;
    const { nameStart, nameEnd, valueStart, valueEnd } = cursor;
    assert.ok(nameStart >= properties.start && nameStart <= nameEnd && nameEnd <= valueStart && valueStart <= valueEnd);
    assert.ok(valueEnd <= properties.end);
  }
  assert.equal(pairs, properties.userPropertyCount);
}
