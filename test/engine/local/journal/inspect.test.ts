import assert from 'node:assert/strict';
import { cp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { inspectJournal, type Damage } from '../../../../src/engine/local/journal/inspect.ts';
import { ScratchJournal, firstRun } from './scratch-journal.ts';

let journal: ScratchJournal;
beforeEach(async () => {
  journal = await ScratchJournal.make();
  await journal.open();
  await journal.declare('orders', 'mail');
  await journal.publish('orders', 60);
  await journal.publish('mail', 60);
});
afterEach(() => journal.remove());

const look = (): ReturnType<typeof inspectJournal> => inspectJournal(journal.directory);

async function damageOf(): Promise<Damage[]> {
  return [...(await look()).damage];
}

describe('inspect of a whole journal', () => {
  it('tells segments, checkpoints and queues', async () => {
    await journal.purge('mail');
    await journal.engine.close();
    const report = await look();
    assert.deepEqual(report.damage, []);
    assert.equal(report.tornTail, null);
    assert.equal(report.refusal, null);
    assert.equal(report.version, 1);
    assert.deepEqual(report.queues, [
      { key: 'orders', durable: true, ready: 60, bytes: 60 * 200, delayed: 0 },
      { key: 'mail', durable: true, ready: 0, bytes: 0, delayed: 0 },
    ]);
    assert.ok(report.checkpoints.length >= 2);
    assert.ok(report.checkpoints.every(({ valid }) => valid));
    assert.deepEqual(
      report.segments.map(({ file }) => file),
      await journal.files(/^journal-/),
    );
    assert.deepEqual(report.spares, await journal.files(/^spare-/));
    assert.equal(
      report.segments.reduce((sum, { live }) => sum + live, 0),
      60,
    );
    const filled = report.segments.filter(({ groups }) => groups > 0);
    for (const { groups, firstSequence, lastSequence } of filled)
      assert.equal(lastSequence - firstSequence + 1, groups);
  });

  it('tells the same of a journal that was not closed, and of one that is open', async () => {
    const report = await look();
    assert.deepEqual(report.damage, []);
    assert.deepEqual(
      report.queues.map(({ key, ready }) => [key, ready]),
      [
        ['orders', 60],
        ['mail', 60],
      ],
    );
    await journal.engine.close();
  });

  it('writes nothing and counts what it reads', async () => {
    await journal.engine.close();
    const state = async (): Promise<unknown[]> => {
      const names = (await readdir(journal.directory)).sort();
      return Promise.all(names.map(async (name) => [name, (await readFile(journal.path(name))).toString('base64')]));
    };
    await writeFile(journal.path('checkpoint-0000000000000099.ckpt.new'), 'left behind');
    const before = await state();
    const seen: string[] = [];
    await inspectJournal(journal.directory, undefined, (read, segments) => seen.push(`${read}/${segments}`));
    assert.deepEqual(await state(), before);
    assert.equal(seen.at(-1), `${seen.length}/${seen.length}`);
  });

  it('finds no damage while a broker writes', async () => {
    let publishing = true;
    const work = (async () => {
      for (let round = 0; publishing; round++) {
        await journal.publish('orders', 20, 400);
        await journal.purge(round % 2 === 0 ? 'orders' : 'mail');
      }
    })();
    for (let looks = 0; looks < 10; looks++) assert.deepEqual(await damageOf(), []);
    publishing = false;
    await work;
    await journal.engine.close();
  });

  it('follows a journal over many lives, clean and not', async () => {
    await journal.engine.close();
    for (let life = 0; life < 4; life++) {
      await journal.open();
      await journal.publish('orders', 30);
      if (life % 2 === 0) {
        const copy = `${journal.directory}-copy`;
        await cp(journal.directory, copy, { recursive: true, filter: (path) => !/lock|\.new$/.test(path) });
        await journal.engine.close();
        await rm(journal.directory, { recursive: true });
        await cp(copy, journal.directory, { recursive: true });
        await rm(copy, { recursive: true });
      } else await journal.engine.close();
      const report = await look();
      assert.deepEqual(report.damage, []);
      assert.equal(report.queues[0]!.ready, 60 + 30 * (life + 1));
    }
  });
});

describe('inspect of a damaged journal', () => {
  it('names a run, and whose messages lie in it', async () => {
    await journal.engine.close();
    const segment = (await journal.segments())[1]!;
    const group = segment.groups[2]!;
    await journal.flip(segment.file, firstRun(group) + 60);
    const [damage, ...others] = await damageOf();
    assert.deepEqual(others, []);
    assert.equal(damage!.file, segment.file);
    assert.equal(damage!.from, firstRun(group));
    assert.ok(damage!.to > damage!.from && damage!.to < group.to);
    assert.match(damage!.what, /^messages are not what was written \(messages of orders\)$/);
  });

  it('names a group by its range, wherever in its header, directory or trailer the bit is', async () => {
    await journal.engine.close();
    const segment = (await journal.segments())[1]!;
    const group = segment.groups[2]!;
    for (const at of [0, 5, 8, 17, 25, 28, 33, 36, 41, 44].map((offset) => group.from + offset).concat(group.to - 3)) {
      await journal.flip(segment.file, at);
      const damage = await damageOf();
      assert.deepEqual(
        damage.map(({ file, from, to }) => ({ file, from, to })),
        [{ file: segment.file, from: group.from, to: group.to }],
        `byte ${at - group.from}`,
      );
      await journal.flip(segment.file, at);
    }
    assert.deepEqual(await damageOf(), []);
  });

  it('names the first and the last group of every segment', async () => {
    await journal.engine.close();
    for (const segment of await journal.segments()) {
      for (const group of [segment.groups[0]!, segment.groups.at(-1)!]) {
        await journal.flip(segment.file, group.from + 9);
        const damage = await damageOf();
        assert.deepEqual(
          damage.map(({ file, from, to }) => ({ file, from, to })),
          [{ file: segment.file, from: group.from, to: group.to }],
          `group ${group.sequence}`,
        );
        await journal.flip(segment.file, group.from + 9);
      }
    }
  });

  it('does so without a checkpoint, and says that the journal can not be opened', async () => {
    const copy = `${journal.directory}-copy`;
    await cp(journal.directory, copy, { recursive: true, filter: (path) => !/lock|\.new$|\.ckpt/.test(path) });
    await journal.engine.close();
    await rm(journal.directory, { recursive: true });
    await cp(copy, journal.directory, { recursive: true });
    await rm(copy, { recursive: true });
    const segments = await journal.segments();
    for (const segment of segments.slice(0, -1)) {
      for (const group of [segment.groups[0]!, segment.groups[3]!, segment.groups.at(-1)!]) {
        await journal.flip(segment.file, group.from + 9);
        const { damage, refusal } = await look();
        assert.deepEqual(
          damage.map(({ file, from, to }) => ({ file, from, to })),
          [{ file: segment.file, from: group.from, to: group.to }],
          `group ${group.sequence}`,
        );
        assert.match(refusal!, /is damaged or missing/);
        await journal.flip(segment.file, group.from + 9);
      }
    }
    // The last group is nobody's promise: damaged, it is a torn tail.
    const last = segments.at(-1)!;
    await journal.flip(last.file, last.groups.at(-1)!.from + 9);
    const report = await look();
    assert.deepEqual(report.damage, []);
    assert.deepEqual(report.tornTail, { file: last.file, at: last.groups.at(-1)!.from });
  });

  it('names several at once', async () => {
    await journal.engine.close();
    const [first, second] = await journal.segments();
    await journal.flip(first!.file, first!.groups[1]!.from + 44);
    await journal.flip(second!.file, firstRun(second!.groups[1]!) + 30);
    await journal.flip(second!.file, firstRun(second!.groups[4]!) + 30);
    await journal.flip(second!.file, 9);
    assert.deepEqual(
      (await damageOf()).map(({ file, from }) => [file, from]),
      [
        [first!.file, first!.groups[1]!.from],
        [second!.file, 0],
        [second!.file, firstRun(second!.groups[1]!)],
        [second!.file, firstRun(second!.groups[4]!)],
      ],
    );
  });

  it('names what a truncated segment lacks', async () => {
    await journal.engine.close();
    const segment = (await journal.segments())[1]!;
    const group = segment.groups[4]!;
    await truncate(journal.path(segment.file), group.from + 100);
    const [damage] = await damageOf();
    assert.equal(damage!.file, segment.file);
    assert.deepEqual([damage!.from, damage!.to], [group.from, group.to]);
    assert.match(damage!.what, new RegExp(`^group ${group.sequence} is cut off by the end of the file`));
  });

  it('names a segment that is missing', async () => {
    await journal.engine.close();
    const segment = (await journal.segments())[1]!;
    await rm(journal.path(segment.file));
    const [damage, ...others] = await damageOf();
    assert.deepEqual(others, []);
    assert.deepEqual([damage!.file, damage!.from, damage!.to], [segment.file, 0, 0]);
    assert.match(damage!.what, /^it is missing \(messages of /);
  });

  it('names the damaged range of a checkpoint, and reads the queues from the one before', async () => {
    await journal.engine.close();
    const file = (await journal.files(/\.ckpt$/)).at(-1)!;
    const bytes = await readFile(journal.path(file));
    const manifest = bytes.readUInt32LE(bytes.length - 16);
    await journal.flip(file, manifest + 3);
    const report = await look();
    assert.deepEqual(
      report.damage.map(({ file: name, from, to }) => [name, from, to]),
      [[file, manifest, bytes.length - 16]],
    );
    assert.deepEqual(
      report.checkpoints.map(({ valid }) => valid),
      report.checkpoints.map(({ file: name }) => name !== file),
    );
    assert.deepEqual(
      report.queues.map(({ ready }) => ready),
      [60, 60],
    );
  });

  it('reads on where the marker is damaged or missing, and says what to write into it', async () => {
    await journal.engine.close();
    const whole = await look();
    const text = await readFile(journal.path('postrider'));
    const damages: [change: () => Promise<void>, to: number][] = [
      [() => writeFile(journal.path('postrider'), Buffer.from(text).fill('x', 3, 4)), text.length],
      [() => rm(journal.path('postrider')), 0],
    ];
    for (const [change, to] of damages) {
      await change();
      await assert.rejects(journal.open(), { code: 'CORRUPT', message: /marker .*postrider, bytes 0 to \d+: it is / });
      const { damage, refusal, ...rest } = await look();
      assert.deepEqual([damage.length, damage[0]!.file, damage[0]!.from, damage[0]!.to], [1, 'postrider', 0, to]);
      assert.match(damage[0]!.what, /echo 'postrider journal 1' > '.*\/postrider'$/);
      assert.match(refusal!, /marker/);
      assert.deepEqual({ ...rest, damage: [], refusal: null }, whole);
    }
    await writeFile(journal.path('postrider'), text);
    await journal.open();
    await journal.engine.close();
  });

  it('is not stopped by checkpoints that are all damaged', async () => {
    await journal.engine.close();
    const files = await journal.files(/\.ckpt$/);
    for (const file of files) await journal.change(file, (bytes) => bytes.subarray(0, bytes.length - 5));
    const report = await look();
    assert.deepEqual(report.damage.map(({ file }) => file).sort(), files);
    assert.ok(report.checkpoints.every(({ valid }) => !valid));
    assert.equal(report.refusal, null, 'all segments are there');
    assert.deepEqual(
      report.queues.map(({ ready }) => ready),
      [60, 60],
    );
    await rm(journal.path((await journal.files(/^journal-/))[0]!));
    assert.match((await look()).refusal!, /its end is missing/);
  });
});

describe('inspect of what is no journal', () => {
  const cases = async (): Promise<string> => {
    await journal.engine.close();
    return journal.directory;
  };

  it('refuses a foreign directory', async () => {
    await cases();
    for (const name of await readdir(journal.directory)) await rm(journal.path(name));
    await writeFile(journal.path('letters.txt'), 'Dear reader');
    const refused = { code: 'FOREIGN', message: /holds no journal: name the directory that was given to serve$/ };
    await assert.rejects(look(), refused);
    await writeFile(journal.path('postrider'), 'something else');
    await assert.rejects(look(), refused);
  });

  it('refuses a newer format', async () => {
    await cases();
    await writeFile(journal.path('postrider'), 'postrider journal 2\n');
    await assert.rejects(look(), { code: 'NEWER', message: /was written in format 2/ });
  });

  it('refuses an empty or absent directory, and makes none', async () => {
    await cases();
    await assert.rejects(inspectJournal(journal.path('absent')), { code: 'FOREIGN', message: /holds no journal/ });
    assert.ok(!(await readdir(journal.directory)).includes('absent'));
    for (const name of await readdir(journal.directory)) await rm(journal.path(name));
    await assert.rejects(look(), { code: 'FOREIGN', message: /holds no journal/ });
    assert.deepEqual(await readdir(journal.directory), []);
  });
});
