/**
 * Hot: the texts of messages that go into one batch, written in one call, which costs several times less than one for each. Where all of it
 * is ASCII each lies where its length says.
 */
import type { Outgoing } from '../link.ts';

const BUFFER_BYTES = 64 * 1024;
/** UTF-8 needs no more for one UTF-16 unit. */
const MOST_BYTES_A_UNIT = 3;
/** And none for one character, which may be two units. */
const MOST_BYTES_A_CHARACTER = 4;

export class TextRun {
  /** Where texts are written before the engine copies them. */
  readonly buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  /** Messages of the run, from the one that it began with. */
  count = 0;
  /** Whether they lie in the buffer, one behind the other. */
  isWritten = false;
  readonly #texts: string[] = [];

  /** Begins with this one of the messages. */
  begin(messages: readonly { readonly message: Outgoing }[], first: number): void {
    const texts = this.#texts;
    let units = 0;
    for (let at = first; at < messages.length; at++) {
      const { body } = messages[at]!.message;
      // Room for one more: what is cut off then ends behind as many bytes as there may be units, and can't pass for ASCII.
      if (typeof body !== 'string' || units + body.length + MOST_BYTES_A_CHARACTER > BUFFER_BYTES) break;
      units += body.length;
      texts.push(body);
    }
    this.count = Math.max(1, texts.length);
    this.isWritten = texts.length > 1 && this.buffer.write(texts.join('')) === units;
    texts.length = 0;
  }

  /** Writes one by itself; answers its length. -1: it may not have room. */
  write(text: string): number {
    return text.length * MOST_BYTES_A_UNIT <= BUFFER_BYTES ? this.buffer.write(text) : -1;
  }
}
