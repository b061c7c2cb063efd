/** A disk on which not even the first segment finds room: the broker can't serve, and says so. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { exitCode } from '../../src/cli/exit-code.ts';
import { run, scratch } from '../cli/postrider.ts';

it('a start on a full disk ends with one line', { timeout: 60_000 }, async (context) => {
  const data = join(await scratch(context), 'data');
  const preload = new URL('./fill-disk.js', import.meta.url).href;
  const { code, stdout, stderr } = await run(['serve', '--data', data, '--amqp-port', '0'], {
    NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --import ${preload}`,
  });
  assert.equal(stdout, '');
  assert.equal(
    stderr,
    `postrider: ${data} has no room for the journal: no space is left on the disk; make some, and start again\n`,
  );
  assert.equal(code, exitCode.data);
});
