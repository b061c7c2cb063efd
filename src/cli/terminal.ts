/** What is shown to a person: colour only on a terminal that wants it, and a last line that is rewritten in place. */
import type { WriteStream } from 'node:tty';
import { inspect } from 'node:util';

export interface Paint {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
}

/** `hasColors` heeds NO_COLOR and TERM=dumb. */
export function paintFor(stream: NodeJS.WritableStream): Paint {
  const tty = stream as Partial<WriteStream>;
  const coloured = tty.isTTY === true && tty.hasColors?.() === true;
  const painter = (colour: string): ((text: string) => string) => {
    const [on, off] = inspect.colors[colour] ?? [0, 0];
    return (text) => (coloured ? `\u001b[${on}m${text}\u001b[${off}m` : text);
  };
  return {
    bold: painter('bold'),
    dim: painter('dim'),
    red: painter('red'),
    green: painter('green'),
    yellow: painter('yellow'),
  };
}

/** Lines that stay, above one line that is rewritten. On anything but a terminal the live line is not shown at all. */
export class Terminal {
  readonly paint: Paint;
  readonly isLive: boolean;
  readonly #stream: NodeJS.WritableStream;
  #live = '';

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
    this.paint = paintFor(stream);
    this.isLive = (stream as Partial<WriteStream>).isTTY === true;
  }

  say(line: string): void {
    const live = this.#live;
    this.live('');
    this.#stream.write(`${line}\n`);
    this.live(live);
  }

  /** `done` of `total`, as `width` characters. */
  bar(done: number, total: number, width: number): string {
    const filled = total <= 0 ? 0 : Math.round(Math.min(1, done / total) * width);
    return '█'.repeat(filled) + '░'.repeat(width - filled);
  }

  /** Replaces the live line; an empty text removes it. It must hold no colour: it is cut to the terminal's width. */
  live(text: string): void {
    if (!this.isLive || text === this.#live) return;
    const columns = (this.#stream as Partial<WriteStream>).columns ?? 80;
    this.#live = text;
    this.#stream.write(`\r\u001b[K${text.slice(0, columns - 1)}`);
  }
}
