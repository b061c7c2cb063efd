/** Bytes from outside that do not follow the format: the sender's fault, never a bug here. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
}
