/**
 * Hot path: a socket read as one run of packets, handled straight out of the read buffer.
 *
 * PUBLISH and the short forms of PUBACK, PUBREC, PUBREL and PUBCOMP are handled here and in publish.ts, and nothing is allocated for
 * them; every other packet goes to packets.ts.
 */
import { FixedHeader } from '../../wire/mqtt/fixed-header.ts';
import { protocolError } from '../../wire/mqtt/mqtt-error.ts';
import { packetType, type AckType } from '../../wire/mqtt/packet-type.ts';
import { reasonCode } from '../../wire/mqtt/reason-code.ts';
import type { Connection } from './connection.ts';
import { acknowledge, handlePacket } from './packets.ts';
import { publish } from './publish.ts';

const header = new FixedHeader();

/** Handles the whole packets in `bytes[at, end)` while the connection listens, and answers where the first begins that it did not handle. @throws MqttError */
export function runPackets(connection: Connection, bytes: Buffer, at: number, end: number): number {
  while (connection.listening && header.read(bytes, at, end, connection.version)) {
    const { type, start, end: next } = header;
    connection.checkLength(type, next - at);
    if (next > end) return at;
    at = next;
    connection.packetsReceived++;
    if (!connection.isRunning) connection.greeting!.handle(type, bytes, start, next);
    else if (type === packetType.publish) publish(connection, bytes, header.firstByte, start, next);
    else if (next - start === 2 && isAck(type)) {
      const packetId = (bytes[start]! << 8) | bytes[start + 1]!;
      if (packetId === 0) throw protocolError('an acknowledgement has packet identifier 0');
      acknowledge(connection, type, packetId, reasonCode.success);
    } else handlePacket(connection, type, bytes, start, next);
  }
  return at;
}

function isAck(type: number): type is AckType {
  return type >= packetType.puback && type <= packetType.pubcomp;
}
