/** A listener that throws: the application hears of it as of any other, and what was about to be done is done. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

it('a listener that throws is an uncaught exception, and the failed message is dead-lettered', async () => {
  const program = `
    import { connect } from './src/index.ts';
    const caught = [];
    process.on('uncaughtException', (error) => caught.push(error.message));
    const mq = await connect('memory:');
    const queue = await mq.queue('orders');
    mq.on('handlerFailed', () => { throw new Error('a bug of the listener'); });
    mq.on('closed', () => { throw new Error('another'); });
    await queue.publish(1);
    await queue.consume(() => { throw new Error('no'); }, { retry: false });
    while ((await queue.deadLetters.stats()).ready === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await mq.close();
    setTimeout(() => console.log(JSON.stringify(caught)), 10);
  `;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const patience = setTimeout(() => child.kill('SIGKILL'), 300_000);
  let said = '';
  child.stdout.on('data', (text) => (said += String(text)));
  const code = await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(patience);
  assert.deepEqual([code, JSON.parse(said)], [0, ['a bug of the listener', 'another']]);
});
