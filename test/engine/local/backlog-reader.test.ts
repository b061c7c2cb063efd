import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BacklogReader, type RunBytes, type SegmentReader } from '../../../src/engine/local/backlog-reader.ts';
import { ChunkList } from '../../../src/engine/local/chunk-list.ts';
import { ReadAhead } from '../../../src/engine/local/read-ahead.ts';
import { RUN_HEADER_BYTES, checksumOfRun } from '../../../src/engine/local/run.ts';
import { ManualClock } from '../../conformance/manual-clock.ts';

/** A run that holds its number's text. */
function runOf(number: number, length = 64): Buffer {
  const run = Buffer.alloc(length);
  run.writeUInt32LE(length, 0);
  run.writeUInt32LE(1, 8);
  run.write(String(number), RUN_HEADER_BYTES);
  run.writeUInt32LE(checksumOfRun(run, 0, length), 4);
  return run;
}

/** Segments in memory, read in the next microtask. */
class Segments implements SegmentReader {
  readonly readAhead: ReadAhead;
  readonly bytes = new Map<number, Buffer>();
  reads = 0;
  /** Called before each read; may throw. */
  before: (() => void) | null = null;

  constructor(clock = new ManualClock(), most = 1024 * 1024) {
    this.readAhead = new ReadAhead(clock, most);
  }

  put(segment: number, offset: number, run: Buffer): void {
    const bytes = this.bytes.get(segment) ?? Buffer.alloc(0);
    const grown = Buffer.alloc(Math.max(bytes.length, offset + run.length));
    bytes.copy(grown);
    run.copy(grown, offset);
    this.bytes.set(segment, grown);
  }

  path(segment: number): string {
    return String(segment);
  }

  async read(segment: number, offset: number, length: number): Promise<Buffer> {
    await Promise.resolve();
    this.reads++;
    this.before?.();
    const bytes = this.bytes.get(segment);
    if (bytes === undefined) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
    return Buffer.from(bytes.subarray(offset, offset + length));
  }

  async readEach(
    segment: number,
    offsets: readonly number[],
    length: number,
  ): Promise<{ buffer: Buffer; counts: number[] }> {
    const buffer = Buffer.alloc(length * offsets.length);
    const counts: number[] = [];
    for (const [at, offset] of offsets.entries()) {
      const bytes = await this.read(segment, offset, length);
      bytes.copy(buffer, at * length);
      counts.push(bytes.length);
    }
    return { buffer, counts };
  }
}

interface Place {
  readonly first: number;
  readonly segment: number;
  readonly offset: number;
}

/** A queue of runs of one message each, and whoever reads it. */
class Reading {
  readonly chunks = new ChunkList();
  readonly damage: string[] = [];
  readonly reader: BacklogReader;
  arrivals = 0;
  #wake: (() => void) | null = null;

  constructor(segments: Segments) {
    this.reader = new BacklogReader(
      segments,
      () => {
        this.arrivals++;
        this.#wake?.();
      },
      (error) => this.damage.push(`${error.code} ${error.message}`),
    );
  }

  /** The text of the run, or null when damage was told. */
  async text(place: () => Place): Promise<string | null> {
    for (let tries = 0; this.damage.length === 0; tries++) {
      assert.ok(tries < 20, 'it reads again and again');
      const { first, segment, offset } = place();
      const bytes: RunBytes | null = this.reader.take(this.chunks, first, segment, offset);
      if (bytes !== null) {
        const text = bytes.buffer.subarray(bytes.at + RUN_HEADER_BYTES, bytes.at + 64).toString();
        return text.slice(0, text.indexOf('\0'));
      }
      if (this.damage.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return null;
  }
}

/** `count` runs, `gap` bytes from one to the next, over segments of 1 MiB. */
function scattered(
  count: number,
  gap: number,
  segments = new Segments(),
): { reading: Reading; places: Place[]; segments: Segments } {
  const reading = new Reading(segments);
  const places: Place[] = [];
  for (let n = 0; n < count; n++) {
    const at = 4096 + n * gap;
    const place = { first: n + 1, segment: 1 + Math.floor(at / 0x10_0000), offset: at % 0x10_0000 };
    places.push(place);
    segments.put(place.segment, place.offset, runOf(place.first));
    reading.chunks.append(place.first, 1, place.segment, place.offset);
  }
  return { reading, places, segments };
}

const move = (reading: Reading, place: Place, segment: number, offset: number): Place => {
  reading.chunks.relocate(place.first, [[place.first, 1, segment, offset]]);
  return { ...place, segment, offset };
};

describe('backlog reader', () => {
  for (const gap of [64, 2048, 100_000]) {
    test(`reads what lies ${gap} bytes apart, over several segments, in order`, async () => {
      const { reading, places, segments } = scattered(500, gap);
      for (const place of places) assert.equal(await reading.text(() => place), String(place.first));
      assert.deepEqual(reading.damage, []);
      assert.ok(segments.reads <= 510, `${segments.reads} reads for 500 runs`);
      reading.reader.clear();
      assert.equal(segments.readAhead.left, 1024 * 1024);
      assert.equal(segments.readAhead.holders.size, 0);
    });
  }

  test('reads the rest of a run that is longer than what was read ahead', async () => {
    const { reading, segments } = scattered(0, 0);
    const place = { first: 1, segment: 1, offset: 4096 };
    segments.put(1, 4096, runOf(1, 200_000));
    reading.chunks.append(1, 1, 1, 4096);
    assert.equal(await reading.text(() => place), '1');
  });

  for (const length of [100, 3000, 100_000]) {
    test(`learns how much to read of runs of ${length} bytes that lie apart`, async () => {
      const segments = new Segments();
      const reading = new Reading(segments);
      const places = Array.from({ length: length > 65_536 ? 60 : 1000 }, (_, n) => ({
        first: n + 1,
        segment: n + 1,
        offset: 4096,
      }));
      for (const { first, segment, offset } of places) {
        segments.put(segment, offset, runOf(first, length));
        reading.chunks.append(first, 1, segment, offset);
      }
      segments.readAhead.left = 64 * 1024 * 1024;
      for (const place of places) assert.equal(await reading.text(() => place), String(place.first));
      const most = length > 65_536 ? 2 * places.length : places.length + 300;
      assert.ok(segments.reads <= most, `${segments.reads} reads for ${places.length} runs`);
    });
  }

  test('reads little more than what it needs', async () => {
    const { reading, places, segments } = scattered(600, 100_000);
    for (const place of places.slice(0, 250)) assert.equal(await reading.text(() => place), String(place.first));
    assert.ok(segments.readAhead.left > 1024 * 1024 - 270 * 256, `${segments.readAhead.left} left`);
  });

  test('tries a read that failed once more', async () => {
    const { reading, places, segments } = scattered(3, 100_000);
    segments.before = () => {
      segments.before = null;
      throw new Error('EIO: once');
    };
    assert.equal(await reading.text(() => places[0]!), '1');
    assert.deepEqual(reading.damage, []);
    segments.before = () => {
      throw new Error('EIO: again');
    };
    reading.reader.clear();
    assert.equal(await reading.text(() => places[1]!), null);
    assert.deepEqual(reading.damage, [`IO segment 1 can't be read: EIO: again`]);
  });

  for (const length of [64, 200_000]) {
    test(`does not call damaged what was moved while ${length} bytes were read, and its segment given up`, async () => {
      const segments = new Segments();
      const reading = new Reading(segments);
      let place: Place = { first: 1, segment: 1, offset: 4096 };
      segments.put(1, 4096, runOf(1, length));
      reading.chunks.append(1, 1, 1, 4096);
      reading.chunks.append(2, 1, 1, 4096 + length);
      // The long one is read in two steps: its segment goes before the second.
      let left = length > 64 ? 1 : 0;
      segments.before = () => {
        if (left-- > 0) return;
        segments.before = null;
        segments.put(2, 8192, runOf(1, length));
        segments.bytes.delete(1);
        place = move(reading, place, 2, 8192);
      };
      assert.equal(await reading.text(() => place), '1');
      assert.deepEqual(reading.damage, []);
    });

    test(`calls damaged what stays unreadable, though nobody moved it: ${length} bytes`, async () => {
      const segments = new Segments();
      const reading = new Reading(segments);
      segments.put(1, 4096, runOf(1, length));
      reading.chunks.append(1, 1, 1, 4096);
      let left = length > 64 ? 1 : 0;
      segments.before = () => {
        if (left-- === 0) segments.bytes.delete(1);
      };
      assert.equal(await reading.text(() => ({ first: 1, segment: 1, offset: 4096 })), null);
      assert.deepEqual(reading.damage, [`IO segment 1 can't be read: ENOENT`]);
    });
  }

  for (const end of [4096, 4100, 4096 + 40]) {
    test(`calls damaged what its segment ends before: at ${end}`, async () => {
      const { reading, places, segments } = scattered(1, 64);
      segments.bytes.set(1, segments.bytes.get(1)!.subarray(0, end));
      assert.equal(await reading.text(() => places[0]!), null);
      assert.equal(reading.damage.length, 1);
      assert.match(reading.damage[0]!, /^CORRUPT segment 1, bytes 4096 to /);
    });
  }

  test('reads afresh what was not whole when it was read ahead, and calls it damaged if it still is not', async () => {
    const { reading, places, segments } = scattered(4, 100_000);
    const whole = Buffer.from(segments.bytes.get(1)!);
    segments.put(1, places[1]!.offset + 30, Buffer.from('?'));
    segments.put(1, places[2]!.offset + 30, Buffer.from('?'));
    assert.equal(await reading.text(() => places[0]!), '1');
    segments.bytes.set(1, whole);
    assert.equal(await reading.text(() => places[1]!), '2');
    assert.equal(await reading.text(() => places[2]!), '3');
    segments.put(1, places[3]!.offset + 30, Buffer.from('?'));
    reading.reader.clear();
    assert.equal(await reading.text(() => places[3]!), null);
    assert.match(reading.damage[0]!, /^CORRUPT segment 1, bytes \d+ to \d+: these messages are not what was written$/);
  });

  test('what arrives after it was forgotten is not held', async () => {
    const { reading, places, segments } = scattered(10, 100_000);
    assert.equal(reading.reader.take(reading.chunks, 1, places[0]!.segment, places[0]!.offset), null);
    reading.reader.clear();
    while (reading.arrivals === 0) await Promise.resolve();
    assert.equal(segments.readAhead.left, 1024 * 1024);
    assert.equal(await reading.text(() => places[0]!), '1', 'and can be had again');
  });

  test('idle ones give up theirs when the others run out', async () => {
    const clock = new ManualClock();
    const segments = new Segments(clock, 80 * 1024);
    const idle = scattered(200, 100_000, segments);
    const busy = scattered(200, 100_000, segments);
    assert.equal(await idle.reading.text(() => idle.places[0]!), '1');
    let at = 0;
    const readOn = async (count: number): Promise<number> => {
      const before = segments.reads;
      for (const end = at + count; at < end; at++)
        assert.equal(await busy.reading.text(() => busy.places[at]!), String(busy.places[at]!.first));
      return segments.reads - before;
    };
    assert.ok(segments.readAhead.left <= 0);
    // The first look finds that it was used since it came.
    assert.equal(await readOn(50), 50, 'one run at a time');
    await clock.advance(1001);
    assert.ok((await readOn(40)) > 100, 'there is room to read ahead again');
    assert.equal(segments.readAhead.holders.size, 1, 'the idle one gave up what it held');
    assert.equal(await idle.reading.text(() => idle.places[1]!), '2');
  });
});
