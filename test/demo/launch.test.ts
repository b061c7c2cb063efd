import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Launcher } from '../../src/demo/launch.ts';
import { scratch } from '../cli/postrider.ts';

const node = process.execPath;

describe('a launched process', () => {
  it('logs, is talked to, and ends when told', async () => {
    const logFile = join(await scratch(), 'log');
    const program = `process.on('message', (m) => { console.log('got', m.word); process.send(m); process.disconnect(); })`;
    const launched = new Launcher().launch({
      name: 'echo',
      command: [node, '-e', program],
      logFile,
      channel: 'messages',
    });
    const answer = new Promise((resolve) => launched.onMessage(resolve));
    launched.send({ word: 'hello' });
    assert.deepEqual(await answer, { word: 'hello' });
    assert.deepEqual(await launched.exited, { code: 0, signal: null });
    assert.equal(launched.running, false);
    assert.equal(readFileSync(logFile, 'utf8'), 'got hello\n');
  });

  it('is ended with all others', async () => {
    const directory = await scratch();
    const launcher = new Launcher();
    const command = [node, '-e', 'setInterval(() => {}, 1000)'];
    const all = ['a', 'b'].map((name) =>
      launcher.launch({ name, command, logFile: join(directory, name), channel: 'stdin' }),
    );
    await launcher.endAll();
    for (const launched of all) assert.deepEqual(await launched.exited, { code: null, signal: 'SIGKILL' });
  });

  it('says why it ended', async () => {
    const logFile = join(await scratch(), 'log');
    const command = [node, '-e', `console.error('first'); console.error('no such luck'); process.exit(3)`];
    const launched = new Launcher().launch({ name: 'x', command, logFile, channel: 'stdin' });
    assert.equal(await launched.firstLine(), null);
    assert.deepEqual(await launched.exited, { code: 3, signal: null });
    assert.equal(launched.lastWords(), 'no such luck');
  });

  it('that cannot be started has ended', async () => {
    const logFile = join(await scratch(), 'log');
    const launched = new Launcher().launch({ name: 'x', command: ['/nowhere/x'], logFile, channel: 'stdin' });
    assert.deepEqual(await launched.exited, { code: null, signal: null });
    assert.equal(launched.pid, 0);
  });
});
