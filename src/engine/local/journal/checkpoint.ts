/**
 * A checkpoint is the state after one group, so that recovery replays only what came later. It is incremental: pages of chunks that
 * did not change stay where an earlier checkpoint wrote them. A file:
 *
 *   blocks: pages of chunks (chunk-page.ts), of delayed messages (delayed-page.ts) and of streams' parts, pages of ids (id-window.ts) and parts (topology, keyed state, producers)
 *   manifest:
 *     f64 sequence, u32 segment, u32 offset: the next group goes there; u8 sealed: the store was closed after it
 *     f64 topology revision, u32 next queue, f64 state revision
 *     3 x pointer: topology, keyed state, producers
 *     u32 n, n x { u32 length, scope, f64 ids are remembered for, u32 first id in the first page, u32 n, n x pointer }
 *     u32 n, n x { u32 segment, f64 messages appended, f64 last sequence }
 *     u32 n, n x { u32 queue, queue (queue-snapshot.ts), f64 next delayed, u32 n, n x { pointer, which are gone (delayed-page.ts) }, u16 n, n x { level (queue-snapshot.ts), u32 n, n x pointer } }
 *     extensions, each only where there is something of it: u8 kind, u32 length, and
 *       1, streams: u32 n, n x { u32 queue, f64 newest stored at, f64 bytes, u32 n, n x pointer to a page (stream-index.ts) }
 *   footer: u32 manifest offset, u32 manifest length, u32 manifest CRC, u32 "PRCK"
 *
 * A pointer is { f64 sequence of the checkpoint whose file has the block, u32 offset, u32 length, u32 CRC }.
 */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Json, QueueSpec } from '../../engine.ts';
import { EngineError } from '../../errors.ts';
import { ChunkPage } from '../chunk-page.ts';
import { DelayedPage } from '../delayed-page.ts';
import { IdPage, IdWindow } from '../id-window.ts';
import type { LocalQueue } from '../queue.ts';
import { LEVEL_BYTES, countAlive, readLevel, readQueue, writeLevel, writeQueue } from '../queue-snapshot.ts';
import type { SegmentTable } from '../segments.ts';
import type { StoreHost } from '../store.ts';
import { StreamPage } from '../stream-index.ts';
import { EntryReader, EntryWriter } from './directory.ts';
import type { Files } from './files.ts';

const FOOTER_BYTES = 16;
const PIECE_BYTES = 512 * 1024;
const POSITION_BYTES = 17;
const FOOTER_MAGIC = 0x4b43_5250;
/** What a manifest may have at its end. */
const STREAMS = 1;

export interface Pointer {
  readonly sequence: number;
  readonly offset: number;
  readonly length: number;
  readonly crc: number;
}

export interface CheckpointPosition {
  /** Of the last group it covers. */
  readonly sequence: number;
  readonly segment: number;
  readonly offset: number;
  /** The store was closed after it. */
  readonly sealed: boolean;
}

/** What is kept of a checkpoint that was written or read. */
export interface Checkpoint {
  readonly position: CheckpointPosition;
  /** Sequences of the checkpoints in whose files its blocks lie, its own included. */
  readonly files: ReadonlySet<number>;
}

/** Pointers to the parts of the newest checkpoint that did not change since. */
export interface Parts {
  topology: Pointer | null;
  keyed: Pointer | null;
  producers: Pointer | null;
}

export function checkpointName(sequence: number): string {
  return `checkpoint-${String(sequence).padStart(16, '0')}.ckpt`;
}

export function checkpointOfName(name: string): number | null {
  const match = /^checkpoint-(\d{16})\.ckpt$/.exec(name);
  return match === null ? null : Number(match[1]);
}

/** The bytes of a checkpoint of the state as it is now. `rewrite` names files whose blocks are to be written anew. */
export class CheckpointWriter {
  readonly #host: StoreHost;
  readonly #segments: SegmentTable;
  readonly #writer = new EntryWriter();
  readonly #files = new Set<number>();
  readonly #pages: { stored: unknown }[] = [];
  readonly position: CheckpointPosition;
  readonly parts: Parts;
  /** The file's bytes, piece by piece: a checkpoint of many queues is large, and lives only until it is written. */
  readonly pieces: Buffer[] = [];
  #written = 0;

  constructor(
    host: StoreHost,
    segments: SegmentTable,
    position: CheckpointPosition,
    parts: Parts,
    rewrite: ReadonlySet<number>,
  ) {
    this.#host = host;
    this.#segments = segments;
    this.position = position;
    this.parts = { ...parts };
    this.#write(rewrite);
  }

  get checkpoint(): Checkpoint {
    return { position: this.position, files: this.#files };
  }

  /** It could not be written: what it has must be written by the next one. */
  abandon(): void {
    for (const page of this.#pages) page.stored = null;
  }

  #write(rewrite: ReadonlySet<number>): void {
    const { topology, keyed, identities } = this.#host;
    const keep = (pointer: Pointer | null): Pointer | null =>
      pointer !== null && !rewrite.has(pointer.sequence) ? pointer : null;
    this.#files.add(this.position.sequence);
    this.parts.topology =
      (topology.changed ? null : keep(this.parts.topology)) ?? this.#block((w) => writeTopology(w, this.#host));
    this.parts.keyed = (keyed.changed ? null : keep(this.parts.keyed)) ?? this.#block((w) => writeKeyed(w, this.#host));
    this.parts.producers =
      (identities.changed ? null : keep(this.parts.producers)) ?? this.#block((w) => writeProducers(w, this.#host));
    topology.changed = false;
    keyed.changed = false;
    identities.changed = false;

    const manifest = new EntryWriter();
    manifest.f64(this.position.sequence);
    manifest.u32(this.position.segment);
    manifest.u32(this.position.offset);
    manifest.u8(this.position.sealed ? 1 : 0);
    manifest.f64(topology.revision);
    manifest.u32(topology.nextQueueId);
    manifest.f64(keyed.revision);
    for (const pointer of [this.parts.topology, this.parts.keyed, this.parts.producers]) this.#point(manifest, pointer);
    identities.forgetOld();
    manifest.u32(identities.windows.size);
    for (const [scope, window] of identities.windows) {
      writeText(manifest, scope);
      manifest.f64(window.forMs);
      manifest.u32(window.first);
      manifest.u32(window.pages.length);
      for (const page of window.pages) this.#page(manifest, page, keep, (writer) => page.write(writer));
    }
    manifest.u32(this.#segments.size);
    for (const segment of this.#segments.values()) {
      manifest.u32(segment.id);
      manifest.f64(segment.total);
      manifest.f64(segment.lastSequence);
    }
    const queues = [...topology.queues.values()].filter((queue) => queue.durable);
    manifest.u32(queues.length);
    for (const queue of queues) this.#writeQueue(manifest, queue, keep);
    if (topology.streams.size > 0) this.#extend(manifest, STREAMS, (writer) => this.#writeStreams(writer, keep));

    this.#cut();
    const start = this.#written;
    const bytes = manifest.buffer.subarray(0, manifest.length);
    const footer = Buffer.alloc(FOOTER_BYTES);
    footer.writeUInt32LE(start, 0);
    footer.writeUInt32LE(manifest.length, 4);
    footer.writeUInt32LE(crc32(bytes), 8);
    footer.writeUInt32LE(FOOTER_MAGIC, 12);
    this.pieces.push(bytes, footer);
  }

  /** What was written so far becomes a piece. */
  #cut(): void {
    const writer = this.#writer;
    this.pieces.push(Buffer.from(writer.buffer.subarray(0, writer.length)));
    this.#written += writer.length;
    writer.clear();
  }

  #writeQueue(manifest: EntryWriter, queue: LocalQueue, keep: (pointer: Pointer | null) => Pointer | null): void {
    manifest.u32(queue.id);
    writeQueue(manifest, queue);
    const { messages } = queue.delayed;
    manifest.f64(messages.next);
    manifest.u32(messages.pages.length);
    for (const page of messages.pages) {
      this.#page(manifest, page, keep, (writer) => page.write(writer));
      page.writeGone(manifest);
    }
    manifest.u16(queue.levels.length);
    for (const level of queue.levels) {
      writeLevel(manifest, level);
      const pages = level.chunks.pages.filter((page) => page.alive > 0);
      manifest.u32(pages.length);
      for (const page of pages) this.#page(manifest, page, keep, (writer) => page.write(writer));
    }
  }

  #extend(manifest: EntryWriter, kind: number, write: (writer: EntryWriter) => void): void {
    const writer = new EntryWriter();
    write(writer);
    manifest.u8(kind);
    manifest.u32(writer.length);
    manifest.bytes(writer.buffer.subarray(0, writer.length));
  }

  #writeStreams(writer: EntryWriter, keep: (pointer: Pointer | null) => Pointer | null): void {
    const { streams } = this.#host.topology;
    writer.u32(streams.size);
    for (const { id, stream } of streams) {
      const { index, lastAt, totalBytes } = stream!;
      writer.u32(id);
      writer.f64(lastAt);
      writer.f64(totalBytes);
      writer.u32(index.pages.length);
      for (const page of index.pages) this.#page(writer, page, keep, (block) => page.write(block));
    }
  }

  /** A page that did not change stays where an earlier checkpoint wrote it. */
  #page(
    manifest: EntryWriter,
    page: { stored: unknown },
    keep: (pointer: Pointer | null) => Pointer | null,
    write: (writer: EntryWriter) => void,
  ): void {
    let pointer = keep(page.stored as Pointer | null);
    if (pointer === null) {
      pointer = this.#block(write);
      page.stored = pointer;
      this.#pages.push(page);
    }
    this.#point(manifest, pointer);
  }

  #block(write: (writer: EntryWriter) => void): Pointer {
    const writer = this.#writer;
    if (writer.length > PIECE_BYTES) this.#cut();
    const from = writer.length;
    write(writer);
    const crc = crc32(writer.buffer.subarray(from, writer.length));
    return { sequence: this.position.sequence, offset: this.#written + from, length: writer.length - from, crc };
  }

  #point(manifest: EntryWriter, pointer: Pointer): void {
    this.#files.add(pointer.sequence);
    manifest.f64(pointer.sequence);
    manifest.u32(pointer.offset);
    manifest.u32(pointer.length);
    manifest.u32(pointer.crc);
  }
}

function writeText(writer: EntryWriter, text: string): void {
  const bytes = Buffer.from(text, 'utf8');
  writer.u32(bytes.length);
  writer.bytes(bytes);
}

function readText(reader: EntryReader): string {
  return reader.bytes(reader.u32()).toString('utf8');
}

function writeTopology(writer: EntryWriter, { topology }: StoreHost): void {
  const entries = [...topology.entries.values()].filter((entry) => entry.durable);
  writer.u32(entries.length);
  for (const { kind, key, value } of entries) writeText(writer, JSON.stringify({ op: 'put', kind, key, value }));
  const queues = [...topology.queues.values()].filter((queue) => queue.durable);
  writer.u32(queues.length);
  for (const queue of queues) {
    writer.u32(queue.id);
    writeText(writer, JSON.stringify(queue.spec));
  }
}

function readTopology(reader: EntryReader, { topology }: StoreHost): void {
  for (let n = reader.u32(); n > 0; n--) {
    topology.restoreEntry(JSON.parse(readText(reader)) as { op: 'put'; kind: string; key: string; value: Json });
  }
  for (let n = reader.u32(); n > 0; n--) {
    const id = reader.u32();
    topology.putQueue(id, JSON.parse(readText(reader)) as QueueSpec);
  }
}

function writeKeyed(writer: EntryWriter, { keyed }: StoreHost): void {
  writer.u32(keyed.values.size);
  for (const [key, { value, revision }] of keyed.values) {
    writeText(writer, key);
    writer.f64(revision);
    writer.u32(value.length);
    writer.bytes(value);
  }
}

function readKeyed(reader: EntryReader, { keyed }: StoreHost): void {
  for (let n = reader.u32(); n > 0; n--) {
    const key = readText(reader);
    const revision = reader.f64();
    keyed.restore(key, Buffer.from(reader.bytes(reader.u32())), revision);
  }
}

function writeProducers(writer: EntryWriter, { identities }: StoreHost): void {
  writer.u32(identities.producers.size);
  for (const [name, { epoch, lastSequence }] of identities.producers) {
    writeText(writer, name);
    writer.f64(epoch);
    writer.f64(lastSequence);
  }
}

function readProducers(reader: EntryReader, { identities }: StoreHost): void {
  for (let n = reader.u32(); n > 0; n--) identities.restoreProducer(readText(reader), reader.f64(), reader.f64());
}

/** A manifest whose bytes and blocks are all what was written. */
export class CheckpointImage {
  readonly position: CheckpointPosition;
  readonly files = new Set<number>();
  readonly #path: string;
  #manifest: Buffer;
  #blocks: ReadonlyMap<number, Buffer>;

  constructor(path: string, position: CheckpointPosition, manifest: Buffer, blocks: ReadonlyMap<number, Buffer>) {
    this.#path = path;
    this.position = position;
    this.#manifest = manifest;
    this.#blocks = blocks;
  }

  /** @throws EngineError CORRUPT, naming file and range; NEWER: it says what this version does not know */
  static async read(directory: string, files: Files, sequence: number): Promise<CheckpointImage> {
    const path = join(directory, checkpointName(sequence));
    const bytes = await readWhole(files, path);
    const manifest = manifestOf(path, bytes);
    const reader = new EntryReader(manifest, 0, manifest.length);
    const position = { sequence: reader.f64(), segment: reader.u32(), offset: reader.u32(), sealed: reader.u8() === 1 };
    if (position.sequence !== sequence) throw damaged(path, 0, bytes.length, 'its sequence is not that of its name');
    const blocks = new Map([[sequence, bytes]]);
    const image = new CheckpointImage(path, position, manifest, blocks);
    image.files.add(sequence);
    for (const pointer of image.#pointers()) {
      image.files.add(pointer.sequence);
      const other = join(directory, checkpointName(pointer.sequence));
      let block = blocks.get(pointer.sequence);
      if (block === undefined) {
        block = await readWhole(files, other);
        blocks.set(pointer.sequence, block);
      }
      const end = pointer.offset + pointer.length;
      if (end > block.length || crc32(block.subarray(pointer.offset, end)) !== pointer.crc) {
        throw damaged(other, pointer.offset, end, 'a block is not what was written');
      }
    }
    return image;
  }

  /** Its state is not asked for any more: all that stays is where it stands. */
  release(): void {
    this.#manifest = Buffer.alloc(0);
    this.#blocks = new Map();
  }

  /** Puts the state together. */
  restore(host: StoreHost, segments: SegmentTable, parts: Parts): void {
    const { topology, keyed, identities } = host;
    const reader = new EntryReader(this.#manifest, POSITION_BYTES, this.#manifest.length - POSITION_BYTES);
    topology.revision = reader.f64();
    topology.nextQueueId = reader.u32();
    const stateRevision = reader.f64();
    parts.topology = readPointer(reader);
    parts.keyed = readPointer(reader);
    parts.producers = readPointer(reader);
    readTopology(this.#open(parts.topology), host);
    readKeyed(this.#open(parts.keyed), host);
    readProducers(this.#open(parts.producers), host);
    keyed.revision = stateRevision;
    for (let n = reader.u32(); n > 0; n--) {
      const window = new IdWindow();
      const scope = readText(reader);
      window.forMs = reader.f64();
      identities.restoreWindow(scope, window);
      window.first = reader.u32();
      for (let pages = reader.u32(); pages > 0; pages--) {
        const pointer = readPointer(reader);
        const page = IdPage.read(this.#open(pointer));
        page.stored = pointer;
        window.restore(page);
      }
    }
    for (let n = reader.u32(); n > 0; n--) {
      const segment = segments.get(reader.u32());
      const total = reader.f64();
      const lastSequence = reader.f64();
      if (segment === undefined) continue;
      segment.total = total;
      segment.lastSequence = lastSequence;
    }
    for (let n = reader.u32(); n > 0; n--) {
      const queue = topology.byId.get(reader.u32())!;
      readQueue(reader, queue);
      const { messages } = queue.delayed;
      messages.next = reader.f64();
      for (let pages = reader.u32(); pages > 0; pages--) {
        const pointer = readPointer(reader);
        const page = DelayedPage.read(this.#open(pointer));
        page.stored = pointer;
        page.readGone(reader);
        messages.restore(page);
      }
      for (let levels = reader.u16(); levels > 0; levels--) {
        const level = readLevel(reader, queue);
        for (let pages = reader.u32(); pages > 0; pages--) {
          const pointer = readPointer(reader);
          const page = ChunkPage.read(this.#open(pointer));
          page.stored = pointer;
          level.chunks.restore(page);
        }
      }
      countAlive(queue, segments);
    }
    for (const streams of extensionsOf(reader, this.#path)) this.#restoreStreams(streams, host);
    topology.changed = false;
    keyed.changed = false;
    identities.changed = false;
  }

  #restoreStreams(reader: EntryReader, { topology }: StoreHost): void {
    for (let n = reader.u32(); n > 0; n--) {
      const stream = topology.byId.get(reader.u32())!.stream!;
      const lastAt = reader.f64();
      stream.totalBytes = reader.f64();
      for (let pages = reader.u32(); pages > 0; pages--) {
        const pointer = readPointer(reader);
        const page = StreamPage.read(this.#open(pointer));
        page.stored = pointer;
        stream.index.restore(page);
      }
      stream.restored(lastAt);
    }
  }

  #open(pointer: Pointer): EntryReader {
    return new EntryReader(this.#blocks.get(pointer.sequence)!, pointer.offset, pointer.length);
  }

  *#pointers(): Generator<Pointer> {
    const reader = new EntryReader(this.#manifest, POSITION_BYTES + 20, this.#manifest.length - POSITION_BYTES - 20);
    for (let n = 0; n < 3; n++) yield readPointer(reader);
    for (let n = reader.u32(); n > 0; n--) {
      readText(reader);
      reader.bytes(12);
      for (let pages = reader.u32(); pages > 0; pages--) yield readPointer(reader);
    }
    for (let n = reader.u32(); n > 0; n--) reader.bytes(20);
    for (let n = reader.u32(); n > 0; n--) {
      reader.bytes(4 + 3 * 8 + 1);
      reader.bytes(12 * reader.u32());
      reader.bytes(12 * reader.u32());
      reader.bytes(8);
      for (let pages = reader.u32(); pages > 0; pages--) {
        yield readPointer(reader);
        reader.bytes(reader.u32());
      }
      for (let levels = reader.u16(); levels > 0; levels--) {
        reader.bytes(LEVEL_BYTES);
        for (let pages = reader.u32(); pages > 0; pages--) yield readPointer(reader);
      }
    }
    for (const streams of extensionsOf(reader, this.#path)) {
      for (let n = streams.u32(); n > 0; n--) {
        streams.bytes(4 + 2 * 8);
        for (let pages = streams.u32(); pages > 0; pages--) yield readPointer(streams);
      }
    }
  }
}

/** What is not known can't be passed over: it would be lost with the next checkpoint. */
function* extensionsOf(manifest: EntryReader, path: string): Generator<EntryReader> {
  while (!manifest.done) {
    const kind = manifest.u8();
    const length = manifest.u32();
    const start = manifest.position;
    manifest.bytes(length);
    if (kind !== STREAMS) {
      const what = `has an extension of kind ${kind}, which this version does not know`;
      throw new EngineError('NEWER', `checkpoint ${path} ${what}: use a newer Postrider, or another directory`);
    }
    yield new EntryReader(manifest.buffer, start, length);
  }
}

function readPointer(reader: EntryReader): Pointer {
  return { sequence: reader.f64(), offset: reader.u32(), length: reader.u32(), crc: reader.u32() };
}

function manifestOf(path: string, bytes: Buffer): Buffer {
  const footer = bytes.length - FOOTER_BYTES;
  if (footer < 0 || bytes.readUInt32LE(footer + 12) !== FOOTER_MAGIC) {
    throw damaged(path, Math.max(0, footer), bytes.length, 'its end is missing');
  }
  const start = bytes.readUInt32LE(footer);
  const length = bytes.readUInt32LE(footer + 4);
  if (start + length !== footer || crc32(bytes.subarray(start, footer)) !== bytes.readUInt32LE(footer + 8)) {
    throw damaged(path, Math.min(start, footer), footer, 'its manifest is not what was written');
  }
  return bytes.subarray(start, footer);
}

async function readWhole(files: Files, path: string): Promise<Buffer> {
  const file = await files.open(path, 'read');
  try {
    const size = await file.size();
    const bytes = Buffer.allocUnsafeSlow(size);
    const read = await file.read(bytes, 0, size, 0);
    return bytes.subarray(0, read);
  } finally {
    await file.close();
  }
}

function damaged(path: string, from: number, to: number, what: string): EngineError {
  return new EngineError('CORRUPT', `checkpoint ${path}, bytes ${from} to ${to}: ${what}`);
}
