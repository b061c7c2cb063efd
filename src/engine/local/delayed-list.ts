/** Shows the messages of a queue that are not due yet: what is known of each, and its head where it lies. */
import type { WaitingMessage } from '../engine.ts';
import type { SegmentReader } from './backlog-reader.ts';
import type { LocalQueue } from './queue.ts';
import { MESSAGE_HEADER_BYTES, RUN_HEADER_BYTES, RunReader } from './run.ts';
import type { Window } from './window.ts';

/** As queue-delayed.ts keeps due times. */
const LATEST = 2 ** 52;
/** Envelope and properties of most messages. */
const HEAD_BYTES = 4096;
/** Beside envelope and properties: the run's header, and the message's with both of its times. */
const FRAME_BYTES = RUN_HEADER_BYTES + MESSAGE_HEADER_BYTES + 16;

interface Place {
  readonly number: number;
  readonly dueAt: number;
  readonly segment: number;
  readonly offset: number;
  readonly bodyBytes: number;
}

/** Those with a number above `after`, by number; one that goes meanwhile is passed over, and those behind it take its place. */
export async function listDelayed(
  queue: LocalQueue,
  after: number,
  limit: number,
  window: Window,
  segments: SegmentReader | null,
  maxBytes = Infinity,
): Promise<WaitingMessage[]> {
  const found: WaitingMessage[] = [];
  let last = after;
  let bytes = 0;
  for (;;) {
    const places = placesOf(queue, last, limit - found.length);
    if (places.length === 0) return found;
    for (const place of places) {
      const { number, dueAt, segment, offset, bodyBytes } = place;
      const liesThere = (): boolean => queue.delayed.liesAt(number, segment, offset);
      const head = await headAt(place, window, segments).catch((error: unknown) => {
        // Its segment may be gone.
        if (liesThere()) throw error;
        return null;
      });
      // Compaction moved it while it was read: it is looked for again.
      if (!liesThere() && queue.delayed.messages.find(number)) break;
      last = number;
      // It may have become due.
      if (head === null || !liesThere()) continue;
      found.push({ number, dueAt, bodyBytes, ...head });
      bytes += head.envelope.length + head.properties.length;
      if (bytes >= maxBytes) return found;
    }
  }
}

function placesOf(queue: LocalQueue, after: number, limit: number): Place[] {
  const places: Place[] = [];
  for (const page of queue.delayed.messages.pages) {
    if (page.last <= after) continue;
    for (let at = 0; at < page.size && places.length < limit; at++) {
      const number = page.numberOf(at);
      if (number <= after || page.isGone(at)) continue;
      places.push({
        number,
        dueAt: page.dueAtOf(at),
        segment: page.segmentOf(at),
        offset: page.offsetOf(at),
        bodyBytes: page.bytesOf(at),
      });
    }
    if (places.length >= limit) break;
  }
  return places;
}

async function headAt(
  { segment, offset, dueAt }: Place,
  window: Window,
  segments: SegmentReader | null,
): Promise<Pick<WaitingMessage, 'storedAt' | 'envelope' | 'properties'> | null> {
  const block = window.find(segment, offset);
  if (block !== null) return headOf(block.buffer, offset - block.start, dueAt);
  if (segments === null) return null;
  let bytes = await segments.read(segment, offset, HEAD_BYTES);
  const needed = headBytes(bytes);
  if (needed === Infinity) return null;
  if (needed > bytes.length) bytes = await segments.read(segment, offset, needed);
  return needed > bytes.length ? null : headOf(bytes, 0, dueAt);
}

/** How far the head of the run's one message reaches, at most; Infinity: that is no run. */
function headBytes(bytes: Buffer): number {
  if (bytes.length < RUN_HEADER_BYTES) return Infinity;
  const envelope = bytes.readUInt16LE(14);
  const at = RUN_HEADER_BYTES + envelope;
  if (at + MESSAGE_HEADER_BYTES > bytes.length) return at + MESSAGE_HEADER_BYTES + HEAD_BYTES;
  return FRAME_BYTES + envelope + (bytes.readUInt32LE(at + 4) & 0xff_ffff);
}

/** Null: another message lies there. */
function headOf(
  buffer: Buffer,
  start: number,
  dueAt: number,
): Pick<WaitingMessage, 'storedAt' | 'envelope' | 'properties'> | null {
  const reader = new RunReader();
  reader.open(buffer, new DataView(buffer.buffer, buffer.byteOffset, buffer.length), start);
  reader.next();
  if (Math.min(LATEST, Math.ceil(reader.dueAt)) !== dueAt) return null;
  return {
    storedAt: reader.storedAt,
    envelope: Buffer.from(buffer.subarray(reader.envelopeStart, reader.envelopeEnd)),
    properties: Buffer.from(buffer.subarray(reader.propertiesStart, reader.bodyStart)),
  };
}
