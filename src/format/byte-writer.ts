import { FormatError } from './format-error.ts';

/** Appends big-endian values to a buffer that grows as needed. For control frames and stored properties, not for the hot path. */
export class ByteWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(initialBytes = 256) {
    this.#bytes = Buffer.allocUnsafe(initialBytes);
  }

  get length(): number {
    return this.#length;
  }

  /** The bytes written so far, as a view of the writer's own buffer. */
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  u8(value: number): void {
    this.#room(1);
    this.#bytes[this.#length++] = value;
  }

  u16(value: number): void {
    this.#room(2);
    this.#length = this.#bytes.writeUInt16BE(value, this.#length);
  }

  u32(value: number): void {
    this.#room(4);
    this.#length = this.#bytes.writeUInt32BE(value, this.#length);
  }

  i32(value: number): void {
    this.#room(4);
    this.#length = this.#bytes.writeInt32BE(value, this.#length);
  }

  u64(value: number | bigint): void {
    this.#room(8);
    this.#length = this.#bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)), this.#length);
  }

  i64(value: number | bigint): void {
    this.#room(8);
    this.#length = this.#bytes.writeBigInt64BE(BigInt.asIntN(64, BigInt(value)), this.#length);
  }

  f64(value: number): void {
    this.#room(8);
    this.#length = this.#bytes.writeDoubleBE(value, this.#length);
  }

  /** A length byte and at most 255 bytes of UTF-8. @throws FormatError when it is longer */
  shortString(value: string): void {
    const size = Buffer.byteLength(value);
    if (size > 255) throw new FormatError(`a short string holds at most 255 bytes, not ${size}`);
    this.u8(size);
    this.#room(size);
    this.#length += this.#bytes.write(value, this.#length);
  }

  /** A four-byte length and the bytes. */
  longString(value: string | Uint8Array): void {
    if (typeof value !== 'string') {
      this.u32(value.length);
      this.raw(value);
      return;
    }
    const size = Buffer.byteLength(value);
    this.u32(size);
    this.#room(size);
    this.#length += this.#bytes.write(value, this.#length);
  }

  raw(value: Uint8Array): void {
    this.#room(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** Leaves room for a four-byte length; answers the mark that `endBlock` wants. */
  beginBlock(): number {
    this.u32(0);
    return this.#length;
  }

  /** Writes the length of what was written since `beginBlock`. */
  endBlock(mark: number): void {
    this.#bytes.writeUInt32BE(this.#length - mark, mark - 4);
  }

  /** Call it before `#bytes` is looked at: it may be another buffer afterwards. */
  #room(size: number): void {
    const needed = this.#length + size;
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
  }
}
