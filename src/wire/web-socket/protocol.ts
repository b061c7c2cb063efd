/** Numbers of RFC 6455. */
export const opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export const closeCode = { normal: 1000, protocolError: 1002, unsupportedData: 1003, invalidData: 1007 } as const;

/** Of a whole frame of a server, which does not mask. */
export function frameHeader(code: number, payloadBytes: number): Buffer {
  if (payloadBytes < 126) return Buffer.from([0x80 | code, payloadBytes]);
  if (payloadBytes < 65_536) return Buffer.from([0x80 | code, 126, payloadBytes >>> 8, payloadBytes & 0xff]);
  const header = Buffer.alloc(10);
  header[0] = 0x80 | code;
  header[1] = 127;
  header.writeUIntBE(payloadBytes, 4, 6);
  return header;
}

export function closeFrame(code: number): Buffer {
  return Buffer.from([0x80 | opcode.close, 2, code >>> 8, code & 0xff]);
}
