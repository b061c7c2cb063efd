import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { localEngine } from '../../src/engine/local/index.ts';
import { GROUP_TRAILER_BYTES, readGroup } from '../../src/engine/local/journal/group.ts';
import { SEGMENT_HEADER_BYTES, readSegmentHeader } from '../../src/engine/local/journal/segment-file.ts';
import { scanSegment } from '../../src/engine/local/journal/segment-scan.ts';
import { cutShort, judgeDamage, makeStore, type Opened, openImage, withBitTurned } from './damage.ts';
import type { Image } from './machine.ts';
import { Random } from './random.ts';
import { dataDirectory, type EngineFactory } from './simulation.ts';

const KiB = 1024;
const segmentBytes = 16 * KiB;
const marker = 'postrider';

const factory: EngineFactory = (files, clock) => {
  const salts = new Random(clock.now());
  return localEngine(dataDirectory, {
    randomBits: () => salts.uint32(),
    files,
    clock,
    segmentBytes,
    firstSegmentBytes: segmentBytes,
    blockBytes: 4 * KiB,
    windowBytes: 8 * KiB,
    spareSegments: 0,
    reserveBytes: KiB,
    scrubIntervalMs: 0,
  });
};

/** `npm run test:simulation -- --damage`: ten minutes instead of half of one. */
const every = process.env.POSTRIDER_EVERY_BIT === '1';
/** Each is odd, so that every bit of a byte has its turn. */
const bitStrides = { segment: every ? 1 : 181, checkpoint: every ? 1 : 61, other: 1 };
const cutStrides = { segment: every ? 1 : 53, checkpoint: every ? 1 : 11, other: 1 };

/** The segment in which a killed store was writing. */
const openFile = 'journal-0000000002.seg';
/** Bytes of a group by which it is known even if it is torn: its magic, its segment and its salt. */
const claimBytes = 44;
const claims = new Set([0, 24, 40].flatMap((at) => [at, at + 1, at + 2, at + 3]));

function kindOf(file: string): keyof typeof bitStrides {
  return file.endsWith('.seg') ? 'segment' : file.endsWith('.ckpt') ? 'checkpoint' : 'other';
}

for (const sealed of [true, false]) {
  describe(`damage to a store that was ${sealed ? 'closed' : 'killed'}`, () => {
    let image: Image;
    let whole: Opened;

    before(async () => {
      image = await makeStore(factory, 60, sealed);
      whole = await openImage(factory, image);
      assert.equal(whole.rejected, null);
      assert.deepEqual(whole.contents.wrong, []);
      assert.ok(whole.contents.facts.size > 80);
    });

    async function judgeEach(
      changed: (file: string) => Iterable<readonly [what: string, image: Image]>,
    ): Promise<void> {
      const wrong: string[] = [];
      for (const file of image.keys()) {
        if (file === 'reserve') continue;
        for (const [what, damaged] of changed(file)) {
          const verdict = judgeDamage(whole.contents, await openImage(factory, damaged), file);
          if (verdict !== null) wrong.push(`${file}, ${what}: ${verdict}`);
        }
      }
      assert.equal(wrong.length, 0, `${wrong.length} times:\n${wrong.slice(0, 10).join('\n')}`);
    }

    /** Where groups begin at the end of a journal that was not closed: nothing says what is lost with the bytes that make a group one. */
    function openEnd(file: string): number[] {
      if (sealed || file !== openFile) return [];
      return [...scanSegment(image.get(file)!, 2)].filter(({ kind }) => kind === 'group').map(({ from }) => from);
    }

    it(`is told when a bit turns (each ${bitStrides.segment}th of a segment, each ${bitStrides.checkpoint}th of a checkpoint)`, () =>
      judgeEach(function* (file) {
        const groups = openEnd(file);
        const last = groups[groups.length - 1];
        for (let bit = 0; bit < image.get(file)!.length * 8; bit += bitStrides[kindOf(file)])
          if (last === undefined || !claims.has((bit >> 3) - last))
            yield [`bit ${bit & 7} of byte ${bit >> 3}`, withBitTurned(image, file, bit)];
      }));

    it(`is told when a file is cut short (at each ${cutStrides.segment}th byte of a segment, each ${cutStrides.checkpoint}th of a checkpoint)`, () =>
      judgeEach(function* (file) {
        const groups = openEnd(file);
        for (let size = 0; size < image.get(file)!.length; size += cutStrides[kindOf(file)])
          if (!groups.some((from) => size >= from && size < from + claimBytes))
            yield [`cut to ${size}`, cutShort(image, file, size)];
      }));

    it('is told when a file is gone', async () => {
      for (const file of image.keys()) {
        // Nothing proves that there were groups in the last segment of a journal that was not closed.
        if (file === 'reserve' || (!sealed && file === openFile)) continue;
        const rest = new Map([...image].filter(([name]) => name !== file));
        assert.equal(judgeDamage(whole.contents, await openImage(factory, rest), file), null, file);
      }
    });
  });
}

describe('damage to a segment', () => {
  it('shows in a scan for every bit but those of the padding', async () => {
    const bytes = (await makeStore(factory, 60, false)).get('journal-0000000001.seg')!;
    const pieces = [...scanSegment(bytes, 1)];
    const groups = pieces.filter((piece) => piece.kind === 'group');
    const salt = readSegmentHeader(bytes, 1).salt!;
    const paddings = groups.map(({ from, to }) => {
      const { directoryStart, directoryLength } = readGroup(bytes, from, 1, from, salt)!;
      return { from: from + directoryStart + directoryLength, to: to - GROUP_TRAILER_BYTES };
    });
    const expected = JSON.stringify(pieces);
    const unseen: number[] = [];
    for (let bit = SEGMENT_HEADER_BYTES * 8; bit < groups[groups.length - 1]!.to * 8; bit++) {
      const at = bit >> 3;
      if (paddings.some(({ from, to }) => at >= from && at < to)) continue;
      bytes[at]! ^= 1 << (bit & 7);
      if (JSON.stringify([...scanSegment(bytes, 1)]) === expected) unseen.push(bit);
      bytes[at]! ^= 1 << (bit & 7);
    }
    assert.ok(groups.length > 20);
    assert.deepEqual(unseen, []);
  });
});

describe('a directory that is not for this version', () => {
  const refused = async (image: Image, code: string, named: string): Promise<void> => {
    const { rejected, image: after } = await openImage(factory, image);
    assert.equal(rejected?.code, code);
    assert.ok(rejected.message.includes(named), rejected.message);
    assert.deepEqual(after, image);
  };

  it('is refused when its marker is of another program', () =>
    refused(new Map([[marker, Buffer.from('a horse\n')]]), 'FOREIGN', marker));

  it('is refused when it holds files of others', () =>
    refused(new Map([['letters.txt', Buffer.from('dear sir')]]), 'FOREIGN', 'letters.txt'));

  it('is refused when a newer version wrote it', async () => {
    const image = new Map(await makeStore(factory, 10, true));
    image.set(marker, Buffer.from('postrider journal 999\n'));
    await refused(image, 'NEWER', '999');
  });
});
