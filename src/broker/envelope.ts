/**
 * How a message was addressed, as it is stored: AMQP's own bytes of basic.publish.
 *
 *   exchange:shortstr   routing key:shortstr      (a shortstr is a length byte and that many bytes of UTF-8)
 */
export function encodeEnvelope(exchange: string, routingKey: string): Buffer {
  const exchangeBytes = Buffer.byteLength(exchange);
  const keyBytes = Buffer.byteLength(routingKey);
  const envelope = Buffer.allocUnsafeSlow(2 + exchangeBytes + keyBytes);
  envelope[0] = exchangeBytes;
  envelope.write(exchange, 1);
  envelope[1 + exchangeBytes] = keyBytes;
  envelope.write(routingKey, 2 + exchangeBytes);
  return envelope;
}

export function readEnvelope(bytes: Buffer, start: number): { exchange: string; routingKey: string } {
  const keyAt = start + 1 + (bytes[start] ?? 0);
  return {
    exchange: bytes.toString('utf8', start + 1, keyAt),
    routingKey: bytes.toString('utf8', keyAt + 1, keyAt + 1 + (bytes[keyAt] ?? 0)),
  };
}
