import { markOf, writeBodyTemplate } from '../../../src/bench/body.ts';
import { publishPacket, type Qos } from '../../../src/bench/mqtt/packet.ts';

export const bodyBytes = 100;
export const ring = 64;

/** The body of a message as a publisher of the benchmark sends it. */
export function body(seq: number, stream = 0): Buffer {
  const bytes = Buffer.alloc(bodyBytes);
  writeBodyTemplate(bytes, 0, bodyBytes, stream, seq % ring);
  bytes.writeUInt32BE(seq, 4);
  bytes.writeUInt32BE(markOf(stream, seq), bodyBytes - 4);
  return bytes;
}

/** What a broker delivers: packet ids from 1. */
export function deliveries(bodies: readonly Buffer[], qos: Qos = 1): Buffer {
  return Buffer.concat(
    bodies.map((bytes, index) => {
      const packet = publishPacket('bench/topic', qos, index + 1, bytes.length);
      bytes.copy(packet, packet.length - bytes.length);
      return packet;
    }),
  );
}
