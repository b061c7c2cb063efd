import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DiskFiles, type DiskFile } from '../../../../src/engine/local/journal/disk-files.ts';

const files = new DiskFiles();
let root: string;

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'postrider-files-'));
});

after(() => rm(root, { recursive: true, force: true }));

const bytesOf = (text: string): Buffer => Buffer.from(text);

async function append(file: DiskFile, text: string, position: number, sync: boolean): Promise<void> {
  const bytes = bytesOf(text);
  let calls = 0;
  await new Promise<void>((resolve, reject) => {
    file.append(bytes, 0, bytes.length, position, sync, (error) => {
      calls++;
      if (error === null) resolve();
      else reject(error);
    });
    assert.equal(calls, 0, 'never synchronously');
  });
  assert.equal(calls, 1);
}

describe('disk files', () => {
  test('creates, and does not create twice', async () => {
    const path = join(root, 'created');
    const file = await files.open(path, 'create');
    await file.close();
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await assert.rejects(files.open(path, 'create'), { code: 'EEXIST' });
    await assert.rejects(files.open(join(root, 'absent'), 'update'), { code: 'ENOENT' });
    await assert.rejects(files.open(join(root, 'absent'), 'read'), { code: 'ENOENT' });
  });

  test('writes, reads, truncates, measures', async () => {
    const path = join(root, 'written');
    const file = await files.open(path, 'create');
    await file.write(bytesOf('--hello world'), 2, 11, 3);
    await file.sync();
    assert.equal(await file.size(), 14);
    const into = Buffer.alloc(20, '.');
    assert.equal(await file.read(into, 1, 5, 3), 5);
    assert.equal(into.toString('latin1', 0, 7), '.hello.');
    assert.equal(await file.read(into, 0, 20, 9), 5, 'fewer at the end of the file');
    assert.equal(await file.read(into, 0, 20, 14), 0);
    await file.truncate(8);
    await file.sync();
    assert.equal(await file.size(), 8);
    await file.close();
    assert.equal(await readFile(path, 'latin1'), '\0\0\0hello');
  });

  test('reads many places at once', async () => {
    const path = join(root, 'places');
    const file = await files.open(path, 'create');
    const bytes = Buffer.from(Array.from({ length: 20_000 }, (_, at) => at % 251));
    await file.write(bytes, 0, bytes.length, 0);
    for (const length of [10, 6000]) {
      const positions = [19_995, 3, 3, 700, 20_000, 12_345];
      const into = Buffer.alloc(length * positions.length);
      const counts = await file.readEach(into, length, positions);
      assert.deepEqual(
        counts,
        positions.map((position) => Math.min(length, 20_000 - position)),
      );
      positions.forEach((position, at) => {
        const got = into.subarray(at * length, at * length + counts[at]!);
        assert.deepEqual(got, bytes.subarray(position, position + counts[at]!));
      });
    }
    const most = Array.from({ length: 5000 }, (_, at) => at * 3);
    const into = Buffer.alloc(2 * most.length);
    assert.deepEqual(new Set(await file.readEach(into, 2, most)), new Set([2]));
    assert.ok(most.every((position, at) => into[2 * at] === position % 251));
    assert.deepEqual(await file.readEach(into, 2, []), []);
    await file.close();
    await assert.rejects(file.readEach(into, 10, [1, 2]));
    await assert.rejects(file.readEach(into, 6000, [1]));
  });

  test('appends with and without a sync, after writes that were and were not synced', async () => {
    const path = join(root, 'appended');
    const file = await files.open(path, 'create');
    await append(file, 'one', 0, true);
    await append(file, 'two', 3, false);
    await append(file, 'three', 6, true);
    await append(file, 'four', 11, true);
    await file.write(bytesOf('five'), 0, 4, 15);
    await append(file, 'six', 19, true);
    await append(file, '', 22, true);
    await append(file, '', 22, false);
    await file.close();
    assert.equal(await readFile(path, 'latin1'), 'onetwothreefourfivesix');
  });

  test('appends a part of a buffer, from within the callback of the one before', async () => {
    const path = join(root, 'chained');
    const file = await files.open(path, 'create');
    const bytes = bytesOf('abcdef');
    await new Promise<void>((resolve, reject) => {
      let at = 0;
      const next = (error: Error | null): void => {
        if (error !== null) reject(error);
        else if (at === 3) resolve();
        else file.append(bytes, 2 * at, 2, 2 * at++, true, next);
      };
      next(null);
    });
    await file.close();
    assert.equal(await readFile(path, 'latin1'), 'abcdef');
  });

  test('waits with the close for the append under way, and refuses one after it', async () => {
    const path = join(root, 'closed');
    const file = await files.open(path, 'create');
    const appended = append(file, 'last', 0, true);
    await file.close();
    await appended;
    assert.equal(await readFile(path, 'latin1'), 'last');
    await assert.rejects(append(file, 'late', 4, true), { code: 'EBADF' });
    await assert.rejects(file.size(), { code: 'EBADF' });
  });

  test('passes errors on with their code', async () => {
    const path = join(root, 'read-only');
    await (await files.open(path, 'create')).close();
    const file = await files.open(path, 'read');
    await assert.rejects(append(file, 'x', 0, true), { code: 'EBADF' });
    await assert.rejects(append(file, 'x', 0, false), { code: 'EBADF' });
    await assert.rejects(file.write(bytesOf('x'), 0, 1, 0), { code: 'EBADF' });
    await file.close();
  });

  test('reports a full device', { skip: process.platform !== 'linux' && 'no /dev/full here' }, async () => {
    const file = await files.open('/dev/full', 'update');
    await assert.rejects(append(file, 'x', 0, true), { code: 'ENOSPC' });
    await assert.rejects(append(file, 'x', 0, false), { code: 'ENOSPC' });
    await assert.rejects(file.write(bytesOf('x'), 0, 1, 0), { code: 'ENOSPC' });
    await file.close();
  });

  test('makes directories, lists, renames and removes', async () => {
    const directory = join(root, 'a', 'b', 'c');
    await files.makeDirectory(directory);
    await files.makeDirectory(directory);
    assert.equal((await stat(directory)).mode & 0o777, 0o700);
    assert.equal((await stat(join(root, 'a'))).mode & 0o777, 0o700);
    for (const name of ['x', 'y']) await (await files.open(join(directory, name), 'create')).close();
    assert.deepEqual((await files.list(directory)).sort(), ['x', 'y']);
    await files.rename(join(directory, 'x'), join(directory, 'y'));
    assert.deepEqual(await files.list(directory), ['y']);
    await files.unlink(join(directory, 'y'));
    await files.syncDirectory(directory);
    assert.deepEqual(await files.list(directory), []);
    await assert.rejects(files.list(join(root, 'absent')), { code: 'ENOENT' });
    await assert.rejects(files.unlink(join(directory, 'y')), { code: 'ENOENT' });
    await assert.rejects(files.syncDirectory(join(root, 'absent')), { code: 'ENOENT' });
  });

  test('makes directories below what is there, and says why it can not', async () => {
    const file = join(root, 'file');
    await (await files.open(file, 'create')).close();
    await assert.rejects(files.makeDirectory(file), { code: 'ENOTDIR' });
    await assert.rejects(files.makeDirectory(join(file, 'a', 'b')), { code: 'ENOTDIR' });
    await Promise.all([files.makeDirectory(join(root, 'd', 'e', 'f')), files.makeDirectory(join(root, 'd', 'e', 'g'))]);
    assert.deepEqual((await files.list(join(root, 'd', 'e'))).sort(), ['f', 'g']);
  });

  test('gives up where none can be made', { skip: process.platform !== 'linux' && 'no /proc here' }, async () => {
    await assert.rejects(files.makeDirectory('/proc/postrider/data'), { code: 'ENOENT' });
  });

  test('locks', async () => {
    const directory = join(root, 'locked');
    await files.makeDirectory(directory);
    const lock = await files.lock(directory);
    await assert.rejects(files.lock(directory), { code: 'LOCKED' });
    await lock.release();
    await (await files.lock(directory)).release();
  });
});
