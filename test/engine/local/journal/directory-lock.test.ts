import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { lockDirectory } from '../../../../src/engine/local/journal/directory-lock.ts';
import type { EngineError } from '../../../../src/engine/errors.ts';

let root: string;
let directory: string;
let number = 0;
const children: ChildProcess[] = [];

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'postrider-lock-'));
});

after(() => rm(root, { recursive: true, force: true }));

beforeEach(async () => {
  directory = join(root, String(number++));
  await mkdir(directory);
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

const source = new URL('../../../../src/engine/local/journal/directory-lock.ts', import.meta.url);

/** A process that locks each directory it reads the name of, and says how that went. */
const program = `
  import { createInterface } from 'node:readline';
  import { lockDirectory } from ${JSON.stringify(source.href)};
  for await (const line of createInterface({ input: process.stdin })) {
    try { await lockDirectory(line); console.log('taken'); } catch (error) { console.log(error.code + ' ' + error.message); }
  }`;

interface Process {
  child: ChildProcess;
  lock(directory: string): Promise<string>;
  kill(): Promise<void>;
}

function start(): Process {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  child.stdout.setEncoding('utf8');
  return {
    child,
    async lock(path) {
      child.stdin.write(path + '\n');
      const [answer] = (await once(child.stdout, 'data')) as [string];
      return answer.trim();
    },
    async kill() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** What a process leaves that was killed: a socket on which nobody listens. */
async function leaveStale(path: string): Promise<void> {
  const child = spawn(process.execPath, [
    '--eval',
    `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`,
  ]);
  children.push(child);
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
}

describe('directory lock', () => {
  test('is one, in one process too, and leaves nothing behind', async () => {
    const lock = await lockDirectory(directory);
    assert.deepEqual(await readdir(directory), ['lock']);
    await assert.rejects(lockDirectory(directory), (error: EngineError) => {
      assert.equal(error.code, 'LOCKED');
      assert.match(error.message, new RegExp(`^${directory} is in use by process ${process.pid} \\(.+, since \\d{4}-`));
      assert.match(error.message, /: stop it, or choose another directory$/);
      return true;
    });
    await lock.release();
    await lock.release();
    assert.deepEqual(await readdir(directory), []);
    await (await lockDirectory(directory)).release();
  });

  test('is the only one of many that begin together', async () => {
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockDirectory(directory)));
    const taken = results.filter((result) => result.status === 'fulfilled');
    assert.equal(taken.length, 1);
    for (const result of results) {
      if (result.status === 'rejected') assert.equal((result.reason as EngineError).code, 'LOCKED');
    }
    await taken[0]!.value.release();
    assert.deepEqual(await readdir(directory), []);
  });

  test('names the process that holds it, and is taken over once that is killed', async () => {
    const owner = start();
    assert.equal(await owner.lock(directory), 'taken');
    await assert.rejects(lockDirectory(directory), (error: EngineError) => {
      assert.equal(error.code, 'LOCKED');
      assert.ok(error.message.includes(`in use by process ${owner.child.pid} (node`), error.message);
      return true;
    });
    await owner.kill();
    assert.deepEqual(await readdir(directory), ['lock']);
    const lock = await lockDirectory(directory);
    assert.deepEqual(await readdir(directory), ['lock']);
    await lock.release();
  });

  test('does not keep its process alive', async () => {
    const child = spawn(process.execPath, [
      ...['--import', 'tsx', '--input-type=module', '--eval'],
      `import { lockDirectory } from ${JSON.stringify(source.href)}; await lockDirectory(${JSON.stringify(directory)});`,
    ]);
    children.push(child);
    assert.deepEqual(await once(child, 'exit'), [0, null]);
    await (await lockDirectory(directory)).release();
  });

  test('goes to one of the processes that race to take it over', async () => {
    const racers = [start(), start()];
    await Promise.all(
      racers.map((racer, index) =>
        mkdir(join(directory, `warm-${index}`)).then(() => racer.lock(join(directory, `warm-${index}`))),
      ),
    );
    for (let round = 0; round < 10; round++) {
      const path = join(directory, String(round));
      await mkdir(path);
      await leaveStale(join(path, 'lock'));
      // This process races too, several times over, each with its own view of the stale socket.
      const own = [lockDirectory(path), lockDirectory(path)].map((lock) =>
        lock.then(
          () => 'taken',
          (error: unknown) => (error as EngineError).code,
        ),
      );
      const answers = await Promise.all([...racers.map((racer) => racer.lock(path)), ...own]);
      assert.equal(answers.filter((answer) => answer === 'taken').length, 1, answers.join('\n'));
      assert.equal(answers.filter((answer) => answer.startsWith('LOCKED')).length, 3, answers.join('\n'));
      await assert.rejects(lockDirectory(path), { code: 'LOCKED' });
    }
  });

  test('is found where somebody moved it aside and died', async () => {
    const lock = await lockDirectory(directory);
    await rename(join(directory, 'lock'), join(directory, 'lock.0123456789ab'));
    await assert.rejects(lockDirectory(directory), { code: 'LOCKED' });
    await assert.rejects(lockDirectory(directory), { code: 'LOCKED' });
    await lock.release();
    await (await lockDirectory(directory)).release();
    assert.deepEqual(await readdir(directory), []);
  });

  test('clears what processes left that died half-way', async () => {
    for (const name of ['lock', 'lock-0123456789ab', 'lock.0123456789ab']) await leaveStale(join(directory, name));
    await (await lockDirectory(directory)).release();
    assert.deepEqual(await readdir(directory), []);
  });

  test('is held by an owner that does not answer, or answers nonsense', async () => {
    let answer = '';
    const server = createServer((socket) => socket.on('error', () => {}).write(answer));
    server.listen(join(directory, 'lock'));
    await once(server, 'listening');
    const expected = {
      code: 'LOCKED',
      message: `${directory} is in use by another process: stop it, or choose another directory`,
    };
    for (answer of ['', 'nonsense\n', '{"pid":"1"}\n', 'null\n', 'x'.repeat(10_000)]) {
      await assert.rejects(lockDirectory(directory), expected);
    }
    answer = '{"pid":7,"started":"then","command":"evil\\u001b[2J"}\n';
    await assert.rejects(lockDirectory(directory), /in use by process 7 \(evil\?\[2J, since then\)/);
    server.close();
  });

  test(
    'works where the path is too long for a socket',
    { skip: process.platform !== 'linux' && 'Linux only' },
    async () => {
      const long = join(directory, 'x'.repeat(120), 'y'.repeat(120));
      await mkdir(long, { recursive: true });
      const lock = await lockDirectory(long);
      assert.deepEqual(await readdir(long), ['lock']);
      await assert.rejects(lockDirectory(long), { code: 'LOCKED' });
      await lock.release();
      assert.deepEqual(await readdir(long), []);
      const owner = start();
      assert.equal(await owner.lock(long), 'taken');
      await assert.rejects(lockDirectory(long), { code: 'LOCKED' });
      await owner.kill();
      await (await lockDirectory(long)).release();
      assert.deepEqual(await readdir(long), []);
    },
  );

  test('says in a line that a directory is absent, none, or not to be written', async () => {
    const file = join(directory, 'file');
    await writeFile(file, '');
    const closed = join(directory, 'closed');
    await mkdir(closed);
    await chmod(closed, 0o500);
    // Permissions do not hold root.
    const readOnly = process.getuid?.() === 0 ? '/proc' : closed;
    for (const path of [join(directory, 'absent'), file, readOnly]) {
      await assert.rejects(lockDirectory(path), (error: EngineError) => {
        assert.equal(error.code, 'UNWRITABLE');
        assert.ok(error.message.startsWith(`${path} can't be locked (E`), error.message);
        assert.ok(!error.message.includes('\n'));
        return true;
      });
    }
  });

  test('leaves alone a file of that name that is somebody else’s', async () => {
    await writeFile(join(directory, 'lock'), 'mine');
    await assert.rejects(lockDirectory(directory), { code: 'FOREIGN' });
    assert.equal(await readFile(join(directory, 'lock'), 'utf8'), 'mine');
    assert.deepEqual(await readdir(directory), ['lock']);
  });
});
