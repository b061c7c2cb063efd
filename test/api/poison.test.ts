/** A message that kills the process which handles it, with the broker inside: it comes to its delivery limit, and nothing else does. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connect } from '../../src/index.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** An application with its broker inside; it ends by itself once it has handled everything. */
const application = `
  import { connect } from './src/index.ts';
  const mq = await connect('file:' + process.argv[1]);
  const orders = await mq.queue('orders', { deliveryLimit: 2 });
  const dead = orders.deadLetters;
  if (process.argv[2] === 'first') {
    await orders.publishAll(['good 1', 'poison', ...Array.from({ length: 20 }, (_, index) => 'good ' + (index + 2))]);
  }
  await orders.consume(async (order) => {
    if (order === 'poison') process.kill(process.pid, 'SIGKILL');
    console.log(order);
  });
  for (;;) {
    const { ready, unacked } = await orders.stats();
    if (ready + unacked === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await mq.close();
`;

async function life(directory: string, which: string): Promise<{ signal: string | null; handled: string[] }> {
  const args = ['--import', 'tsx', '--input-type=module', '-e', application, directory, which];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  const patience = setTimeout(() => child.kill('SIGTERM'), 300_000);
  let said = '';
  child.stdout.on('data', (text) => (said += String(text)));
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    child.once('close', (...end) => resolve(end)),
  );
  clearTimeout(patience);
  assert.ok(code === 0 || signal === 'SIGKILL', `ended with ${code ?? signal}`);
  return { signal, handled: said.split('\n').filter((line) => line !== '') };
}

describe('a message that kills its process, with the broker inside', { timeout: 300_000 }, () => {
  it('is dead-lettered at its delivery limit, alone, and the others are handled', async (context) => {
    const directory = await mkdtemp(join(tmpdir(), 'postrider-poison-'));
    context.after(() => rm(directory, { recursive: true, force: true }));
    const lives = [await life(directory, 'first')];
    while (lives.at(-1)!.signal !== null && lives.length < 8) lives.push(await life(directory, 'again'));
    // Two deliveries more than the first: then it is put aside.
    assert.deepEqual(
      lives.map(({ signal }) => signal),
      ['SIGKILL', 'SIGKILL', 'SIGKILL', null],
    );
    const handled = new Set(lives.flatMap((one) => one.handled));
    assert.deepEqual(handled, new Set(Array.from({ length: 21 }, (_, index) => `good ${index + 1}`)));

    await using mq = await connect(`file:${directory}`, { log: () => undefined });
    const dead = await mq.queue('orders.dead');
    const letters = await dead.peek(100);
    assert.deepEqual(
      letters.map(({ payload, death }) => [payload, death]),
      [['poison', { queue: 'orders', reason: 'delivery-limit', error: '' }]],
    );
    assert.equal(letters[0]!.headers['x-first-death-reason'], 'delivery_limit');
  });
});
