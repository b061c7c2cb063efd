/** A disk on which not even the first segment finds room: the broker can't serve, and says so. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { exitCode } from '../../src/cli/exit-code.ts';
import { run, scratch, withoutMqtt } from '../cli/postrider.ts';

it('a start on a full disk ends with one line', { timeout: 300_000 }, async () => {
  const data = join(await scratch(), 'data');
  const preload = new URL('./fill-disk.js', import.meta.url).href;
  const { code, stdout, stderr } = await run(['serve', '--data', data, '--amqp-port', '0', ...withoutMqtt], {
    NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --import ${preload}`,
  });
  assert.equal(stdout, '');
  assert.match(
    stderr,
    /^postrider: segment \S+ can't be made: ENOSPC: [^\n]*: free \d+ bytes, or more, on its disk\n$/,
  );
  assert.ok(stderr.includes(data));
  assert.equal(code, exitCode.data);
});
