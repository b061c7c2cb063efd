/** Hot path. Stands on one message of a queue: in memory, or in bytes read ahead from the segment. */
import type { BacklogReader } from './backlog-reader.ts';
import { ChunkCursor, type ChunkList } from './chunk-list.ts';
import { RunReader } from './run.ts';
import type { Block, Window } from './window.ts';

/** The bytes are not in memory: they are being read. */
export const WAIT = -1;
/** There is no message at or behind the number. */
export const END = -2;

const place = new ChunkCursor();

export class RunCursor {
  readonly reader = new RunReader();
  /** Where the run lies: changes whenever the envelope may have changed. */
  envelopeId = 0;
  readonly #window: Window;
  readonly #chunks: ChunkList;
  readonly #newBacklog: () => BacklogReader | null;
  /** Null until something is not in memory. */
  #backlog: BacklogReader | null = null;
  #block: Block | null = null;
  #first = 0;
  #end = 0;

  constructor(window: Window, chunks: ChunkList, newBacklog: () => BacklogReader | null) {
    this.#window = window;
    this.#chunks = chunks;
    this.#newBacklog = newBacklog;
  }

  /** Moves to the message with this number, or else to the first one behind it. Returns its number, WAIT or END. */
  seek(number: number): number {
    if (number >= this.#first && number < this.#end && (this.#block === null || this.#block.live)) {
      this.reader.seek(number - this.#first);
      return number;
    }
    return this.#open(number);
  }

  /** Length of the run it stands in. */
  get runBytes(): number {
    return this.reader.view.getUint32(this.reader.start, true);
  }

  /** One past the last number of the run it stands in. */
  get runEnd(): number {
    return this.#end;
  }

  forget(): void {
    this.#first = 0;
    this.#end = 0;
    this.#block = null;
    this.reader.close();
  }

  /** It is not needed for now: gives back what was read ahead. */
  release(): void {
    this.forget();
    this.#backlog?.clear();
  }

  #open(number: number): number {
    this.forget();
    if (!this.#chunks.seek(number, place)) return END;
    const page = place.page!;
    const { chunk } = place;
    const first = page.firstOf(chunk);
    const segment = page.segmentOf(chunk);
    const offset = page.offsetOf(chunk);
    const block = this.#window.find(segment, offset);
    if (block !== null) {
      this.reader.open(block.buffer, block.view, offset - block.start);
    } else {
      this.#backlog ??= this.#newBacklog();
      const bytes = this.#backlog?.take(this.#chunks, first, segment, offset) ?? null;
      if (bytes === null) return WAIT;
      this.reader.open(bytes.buffer, bytes.view, bytes.at);
    }
    this.#block = block;
    this.#first = first;
    this.#end = first + page.countOf(chunk);
    this.envelopeId = nextEnvelopeId();
    const at = Math.max(number, first);
    this.reader.seek(at - first);
    return at;
  }
}

let envelopeId = 0;

function nextEnvelopeId(): number {
  envelopeId = (envelopeId + 1) & 0x3fff_ffff;
  return envelopeId;
}
