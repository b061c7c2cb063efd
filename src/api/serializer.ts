/** How payloads become bytes and are read again. Whatever it throws is told with the message. */
export interface Serializer<Payload = unknown> {
  /** Sent with each message; by convention a MIME type. */
  readonly contentType: string;
  /** What is sent. */
  serialize(payload: Payload): Uint8Array | string;
  /** `bytes` are the message's alone; `contentType` is what its publisher said, empty for nothing. */
  deserialize(bytes: Buffer, contentType: string): unknown;
}
