import { Writable } from 'node:stream';

/** A stream that keeps what is written to it, as a terminal or not. */
export class Sheet extends Writable {
  text = '';
  readonly isTTY: boolean;
  readonly columns = 40;

  constructor(isTTY: boolean) {
    super({ decodeStrings: false });
    this.isTTY = isTTY;
  }

  hasColors(): boolean {
    return this.isTTY;
  }

  override _write(text: string, _encoding: BufferEncoding, done: () => void): void {
    this.text += text;
    done();
  }
}
