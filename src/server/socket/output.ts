/**
 * Hot path: what goes out on one socket.
 *
 * Frames are written side by side into chunks that all connections share; a chunk returns to them once the socket has taken
 * it. One write is on its way at a time: what comes meanwhile fills further chunks, so a client that reads slowly costs
 * `unsent` bytes and at most one chunk that is not full.
 */
import { copyBytes } from '../../format/copy.ts';
import { writeDirectly } from './direct-write.ts';
import type { OutputBudget } from './output-budget.ts';
import type { Transport } from './transport.ts';

export const chunkBytes = 64 * 1024;
/** A chunk for those who are sent little: thousands of them, each with an acknowledgement in the same turn, shall not take a large one each. */
export const smallChunkBytes = 512;
/** Chunks kept for the next that needs one. */
const maxSpareChunks = 64;
const maxSpareSmallChunks = 4_096;
/** What is written without waiting for the end of the turn. */
const flushBytes = 2 * chunkBytes;

interface Chunk {
  readonly bytes: Buffer;
  readonly view: DataView;
  end: number;
  /** What was sent of it last: acknowledgements are all of one length. */
  sent: Buffer;
}

const noBytes = Buffer.alloc(0);

const spare: Chunk[] = [];
const spareSmall: Chunk[] = [];

function takeChunk(isSmall: boolean): Chunk {
  const chunk = isSmall ? spareSmall.pop() : spare.pop();
  if (chunk === undefined) return newChunk(isSmall ? smallChunkBytes : chunkBytes);
  chunk.end = 0;
  return chunk;
}

function newChunk(size: number): Chunk {
  const bytes = Buffer.allocUnsafeSlow(size);
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), end: 0, sent: noBytes };
}

/** What is sent before the engine has its end of the turn: together no more than this, in no more writes. */
const earlyBytes = 8 * 1024;
const earlyWrites = 4;

/** So many have the end of the turn each in its turn; those behind them have it together. */
const fewOutputs = 32;
/** Of those, so many are sent while the turn goes on: thousands of reads may be handled in it, and none of their clients shall wait for the last. */
const manyOutputs = 128;

/** The first that were written to in this turn of the event loop, since a read began. */
const due: Output[] = [];
let turnBegun = false;
/** The others, and who was written to outside of it. */
let rest: Output[] = [];
let restIsDue = false;

/**
 * Called before a read is handled, so that the first to have the end of the turn are the outputs, and the engine comes after them:
 * a few messages are on their way before it closes its group and asks the disk. With many it goes first, since the disk is then
 * what everybody waits for.
 */
export function beginTurn(): void {
  if (rest.length >= manyOutputs) sendMany();
  if (turnBegun) return;
  turnBegun = true;
  setImmediate(sendFew);
}

function sendFew(): void {
  turnBegun = false;
  let bytes = 0;
  for (const output of due) bytes += output.unsent;
  if (bytes <= earlyBytes && rest.length === 0 && due.length <= earlyWrites) for (const output of due) output.flush();
  due.length = 0;
}

/** Amid a turn: all of them, since it may be one of the first that the others wait for. */
function sendMany(): void {
  for (const output of due) output.flush();
  sendRest();
}

function sendRest(): void {
  const outputs = rest;
  rest = [];
  for (const output of outputs) output.turnEnded();
}

function endTurnOf(output: Output): void {
  output.turnEnded();
}

function endOfRest(): void {
  restIsDue = false;
  sendRest();
}

/** What is written once the socket is gone: all such outputs write over it, and nobody reads it. It counts for none of them. */
const discarded: Chunk = newChunk(chunkBytes);

const nothing: Chunk = { bytes: noBytes, view: new DataView(new ArrayBuffer(0)), end: 0, sent: noBytes };

export class Output {
  /** Where the next byte goes; `reserve` makes sure that there is room. */
  bytes: Buffer = nothing.bytes;
  view: DataView = nothing.view;
  at = 0;
  /** The largest range that `reserve` can give. */
  static readonly maxReserve = chunkBytes;

  readonly #socket: Transport;
  readonly #budget: OutputBudget;
  readonly #drained: () => void;
  #chunk: Chunk = nothing;
  /** Full chunks that wait for the write before them. */
  #full: Chunk[] = [];
  #fullBytes = 0;
  #sending: Chunk[] = [];
  #sendingBytes = 0;
  /** Writes of which the socket has not told yet. */
  #writes = 0;
  #scheduled = false;
  #closed = false;
  #endWhenSent = false;
  /** What it was given last would have fitted into a small chunk. */
  #isSentLittle = true;
  /** Bytes given to the socket since the beginning. */
  #given = 0;

  /** `drained` is called whenever the socket took what it was given. */
  constructor(socket: Transport, budget: OutputBudget, drained: () => void) {
    this.#socket = socket;
    this.#budget = budget;
    this.#drained = drained;
  }

  /** Bytes that the socket has not taken. */
  get unsent(): number {
    return this.#sendingBytes + this.#fullBytes + this.at;
  }

  /** How many unsent bytes this client may have now. */
  get limit(): number {
    return this.#budget.limit;
  }

  /** Bytes that the system has taken for the client since the beginning: of a write that is on its way, too. */
  get taken(): number {
    return this.#given - queuedBytes(this.#socket);
  }

  /** Makes room for `size` bytes at `at`, at most `maxReserve`. The caller writes them and moves `at`. */
  reserve(size: number): void {
    if (this.at + size > this.bytes.length) this.#nextChunk(size);
    if (!this.#scheduled) this.#schedule();
  }

  /** Any number of bytes, in pieces where they are many. */
  write(source: Uint8Array, from: number, to: number): void {
    while (from < to) {
      if (this.at === this.bytes.length) this.#nextChunk(to - from);
      const size = Math.min(to - from, this.bytes.length - this.at);
      this.at = copyBytes(source, from, from + size, this.bytes, this.view, this.at);
      from += size;
    }
    if (!this.#scheduled) this.#schedule();
  }

  writeFrame(frame: Buffer): void {
    this.write(frame, 0, frame.length);
  }

  /** Gives to the socket what there is, unless it still has something. */
  flush(): void {
    if (this.#writes > 0 || this.#closed) return;
    if (this.at > 0) {
      const isLittle = this.#full.length === 0 && this.#isSentLittle && this.bytes.length === smallChunkBytes;
      if (isLittle && this.#sendDirectly(this.#chunk)) return;
      this.#retire();
    }
    if (this.#full.length === 0) {
      if (this.#endWhenSent) this.#socket.end();
      return;
    }
    const chunks = this.#full;
    this.#full = this.#sending;
    this.#sending = chunks;
    this.#sendingBytes = this.#fullBytes;
    this.#given += this.#fullBytes;
    this.#isSentLittle = this.#fullBytes <= smallChunkBytes;
    this.#fullBytes = 0;
    this.#writes = chunks.length;
    if (chunks.length === 1) {
      this.#socket.write(bytesOf(chunks[0]!), this.#written);
      return;
    }
    this.#socket.cork();
    for (const chunk of chunks) this.#socket.write(bytesOf(chunk), this.#written);
    this.#socket.uncork();
  }

  /** Sends the chunk in hand, which is all there is. False: the stream must be asked. */
  #sendDirectly(chunk: Chunk): boolean {
    chunk.end = this.at;
    const answer = writeDirectly(this.#socket, bytesOf(chunk), this.#written);
    if (answer === 'no') return false;
    this.#given += chunk.end;
    this.#useChunk(nothing);
    if (answer === 'later') {
      this.#sending.push(chunk);
      this.#sendingBytes = chunk.end;
      this.#writes = 1;
      return true;
    }
    this.#budget.giveBack(chunk.bytes.length);
    giveBack(chunk);
    // Nobody waits for so few bytes to be gone: `drained` is not called for them.
    if (this.#endWhenSent) this.#socket.end();
    return true;
  }

  /** Ends the socket once everything is sent; nothing may be written any more. */
  end(): void {
    this.#endWhenSent = true;
    this.flush();
  }

  /** The socket is gone: nothing is written any more. Chunks that it may still hold are left to the collector. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#budget.giveBack(sizeOf(this.#full) + sizeOf(this.#sending) + this.#chunk.bytes.length);
    if (this.#chunk !== nothing) giveBack(this.#chunk);
    for (const chunk of this.#full) giveBack(chunk);
    this.#full = [];
    this.#sending = [];
    this.#fullBytes = 0;
    this.#sendingBytes = 0;
    this.#useChunk(nothing);
  }

  #nextChunk(size: number): void {
    if (this.#closed) {
      this.#useChunk(discarded);
      return;
    }
    if (this.at > 0) this.#retire();
    if (this.#fullBytes >= flushBytes) this.flush();
    const chunk = takeChunk(this.#isSentLittle && size <= smallChunkBytes && this.#fullBytes === 0);
    this.#budget.take(chunk.bytes.length);
    this.#useChunk(chunk);
  }

  /** The chunk in hand becomes one that waits to be sent. */
  #retire(): void {
    this.#chunk.end = this.at;
    this.#full.push(this.#chunk);
    this.#fullBytes += this.at;
    this.#useChunk(nothing);
  }

  #useChunk(chunk: Chunk): void {
    this.#chunk = chunk;
    this.bytes = chunk.bytes;
    this.view = chunk.view;
    this.at = 0;
  }

  #schedule(): void {
    this.#scheduled = true;
    if (turnBegun && due.length < fewOutputs) {
      due.push(this);
      setImmediate(endTurnOf, this);
      return;
    }
    rest.push(this);
    if (restIsDue) return;
    restIsDue = true;
    setImmediate(endOfRest);
  }

  /** Its turn is over, or lasts too long. */
  turnEnded(): void {
    this.#scheduled = false;
    this.flush();
  }

  /** One of the writes that are on their way is done. */
  readonly #written = (): void => {
    if (this.#closed || --this.#writes > 0) return;
    this.#budget.giveBack(sizeOf(this.#sending));
    for (const chunk of this.#sending) giveBack(chunk);
    this.#sending.length = 0;
    this.#sendingBytes = 0;
    this.#drained();
    this.flush();
  };
}

function bytesOf(chunk: Chunk): Buffer {
  if (chunk.sent.length !== chunk.end) chunk.sent = chunk.bytes.subarray(0, chunk.end);
  return chunk.sent;
}

function giveBack(chunk: Chunk): void {
  if (chunk.bytes.length === smallChunkBytes) {
    if (spareSmall.length < maxSpareSmallChunks) spareSmall.push(chunk);
  } else if (spare.length < maxSpareChunks) spare.push(chunk);
}

function sizeOf(chunks: readonly Chunk[]): number {
  let size = 0;
  for (const chunk of chunks) size += chunk.bytes.length;
  return size;
}

/** What the system has not taken of what the socket was given. Node documents only the whole writes of it. */
export function queuedBytes(socket: Transport): number {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly writeQueueSize?: number } | null };
  return handle?.writeQueueSize ?? socket.writableLength;
}
