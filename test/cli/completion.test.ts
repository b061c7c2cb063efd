import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { commandLine } from '../../src/cli/command-line.ts';
import { postrider, run, scratch } from './postrider.ts';
import { fileBroker, servedBroker } from './verb.ts';

const execute = promisify(execFile);

/** A bash in which `postrider` is this one, and its completion is sourced; answers what TAB would offer. */
async function bash() {
  const directory = await scratch();
  const script = join(directory, 'completion.bash');
  await writeFile(script, (await run(['completion', 'bash'])).stdout);
  const program = `#!/bin/sh\nexec ${postrider.map((word) => `'${word}'`).join(' ')} "$@"\n`;
  await writeFile(join(directory, 'postrider'), program, { mode: 0o755 });
  return async (line: string, url = 'memory:'): Promise<string[]> => {
    // As readline does it: the words, with ':' and '=' apart, and the one that is completed last.
    const complete = `
      source '${script}'
      complete -p postrider | grep -q -- '-F _postrider' || exit 1
      COMP_LINE='${line}' COMP_POINT=\${#COMP_LINE}
      mapfile -t COMP_WORDS < <(grep -oE '[^ :=]+|[:=]+' <<< "$COMP_LINE")
      [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
      COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
      _postrider postrider "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const env = { ...process.env, PATH: `${directory}:${process.env['PATH'] ?? ''}`, POSTRIDER_URL: url };
    const { stdout } = await execute('bash', ['--norc', '-c', complete], { env, cwd: directory });
    return stdout.split('\n').filter((word) => word !== '');
  };
}

describe('completion', { timeout: 300_000 }, () => {
  it('of bash offers commands and options', async () => {
    const complete = await bash();
    assert.deepEqual(await complete('postrider pu'), ['publish', 'purge']);
    assert.deepEqual(await complete('postrider publish --c'), ['--create', '--content-type']);
    assert.deepEqual(await complete('postrider consume orders --no'), ['--no-wait']);
    assert.deepEqual(await complete('postrider demo --e'), ['--embedded']);
    assert.deepEqual(await complete('postrider completion '), ['bash', 'zsh', 'fish']);
    assert.deepEqual(await complete('postrider users '), ['add', 'password', 'tags', 'delete']);
    assert.deepEqual(await complete('postrider permissions set ann --re'), ['--read']);
    assert.deepEqual(await complete('postrider help re'), ['redrive']);
    assert.deepEqual(await complete('postrider consume --count '), []);
    assert.deepEqual(await complete('postrider nothing '), []);
  });

  it('of bash offers the queues of a broker that runs, and of a directory', async (context) => {
    const complete = await bash();
    const { mq, url } = await servedBroker(context, { orders: {}, other: {} });
    // A name that a shell would run is not offered.
    await mq.queue('o$(touch pwned)', { deadLetter: false });
    assert.deepEqual(await complete('postrider consume o', url), ['orders', 'orders.dead', 'other', 'other.dead']);
    assert.deepEqual(await complete(`postrider purge --url ${url} orders.`), ['orders.dead']);
    assert.deepEqual(await complete(`postrider purge --url=${url} --json orders.`), ['orders.dead']);
    const broker = await fileBroker(context, { 'from-disk': { deadLetter: false } });
    assert.deepEqual(await complete('postrider peek ', broker.url), ['from-disk']);
  });

  it('offers no queue, and says nothing, where none can be asked', async () => {
    const nowhere = `file:${join(await scratch(), 'nothing')}`;
    for (const url of [nowhere, 'memory:', 'amqp://127.0.0.1:1', 'nonsense']) {
      const { code, stdout, stderr } = await run(['completion', 'queues'], { POSTRIDER_URL: url });
      assert.deepEqual([code, stdout, stderr], [0, '', ''], url);
    }
  });

  it('reads a directory without touching it', async () => {
    const directory = join(await scratch(), 'empty');
    await mkdir(directory);
    await run(['completion', 'queues'], { POSTRIDER_URL: `file:${directory}` });
    assert.deepEqual(await execute('ls', ['-A', directory]), { stdout: '', stderr: '' });
  });

  for (const shell of ['zsh', 'fish'] as const) {
    it(`for ${shell} knows every command`, async (context) => {
      const { stdout } = await run(['completion', shell]);
      for (const command of ['serve', 'publish', 'queues', 'completion'])
        assert.match(stdout, new RegExp(`\\b${command}\\b`));
      const file = join(await scratch(), 'script');
      await writeFile(file, stdout);
      try {
        await execute(shell, ['-n', file]);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        context.diagnostic(`${shell} is not installed: its script was not parsed`);
      }
    });
  }

  it('refuses a shell that it does not know', async () => {
    let told = '';
    const ignore = (): void => undefined;
    const code = await commandLine(['completion', 'tcsh'], { out: ignore, err: (text) => (told += text) });
    assert.equal(code, 2);
    assert.equal(
      told,
      'postrider: SHELL must be one of bash, zsh, fish, not "tcsh"; see postrider completion --help\n',
    );
  });
});
