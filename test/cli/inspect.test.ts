import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { BrokerProcess } from '../../src/demo/broker.ts';
import { Launcher } from '../../src/demo/launch.ts';
import type { JournalInspection } from '../../src/engine/local/journal/inspect.ts';
import { connect } from '../faults/load.ts';
import { postrider, run, scratch } from './postrider.ts';

const body = 'a letter for somebody';

/** A journal with three messages in a queue, left behind by SIGKILL. */
async function journal(context: TestContext): Promise<string> {
  const directory = await scratch();
  const data = join(directory, 'data');
  const launcher = new Launcher();
  context.after(() => launcher.endAll());
  const broker = new BrokerProcess({ launcher, postrider, data, logFile: join(directory, 'log') });
  await broker.start();
  const connection = connect(broker.url);
  const publisher = connection.createPublisher({ confirm: true, queues: [{ queue: 'letters', durable: true }] });
  for (let i = 0; i < 3; i++) await publisher.send({ routingKey: 'letters', durable: true }, body);
  await broker.kill();
  connection.unsafeDestroy();
  return data;
}

async function contents(directory: string): Promise<Map<string, string>> {
  // The lock is a socket: nothing to read.
  const entries = (await readdir(directory, { withFileTypes: true })).filter((entry) => entry.isFile());
  const read = entries.map(async ({ name }) => [name, await readFile(join(directory, name), 'latin1')] as const);
  return new Map(await Promise.all(read));
}

describe('inspect', { timeout: 300_000 }, () => {
  it('tells what a killed broker left, and writes nothing', async (context) => {
    const data = await journal(context);
    const before = await contents(data);
    const forPrograms = await run(['inspect', data, '--json']);
    const report = JSON.parse(forPrograms.stdout) as JournalInspection;
    assert.equal(report.queues.length, 1);
    assert.equal(report.queues[0]!.ready, 3);
    assert.equal(report.queues[0]!.bytes, 3 * body.length);
    assert.deepEqual(report.damage, []);
    assert.equal(forPrograms.code, 0);

    const forPeople = await run(['inspect', data]);
    assert.match(forPeople.stdout, /letters +3 ready/);
    assert.match(forPeople.stdout, /no damage/);
    assert.equal(forPeople.stderr, '');
    assert.equal(forPeople.code, 0);
    assert.equal((await run(['inspect', `file:${data}`])).stdout, forPeople.stdout);
    assert.deepEqual(await contents(data), before);
  });

  it('names damage, with exit code 1', async (context) => {
    const data = await journal(context);
    let damaged = '';
    for (const [name, text] of await contents(data)) {
      const at = text.indexOf(body);
      if (at < 0) continue;
      damaged = name;
      await writeFile(join(data, name), Buffer.from(text.slice(0, at) + 'A' + text.slice(at + 1), 'latin1'));
    }
    const { code, stdout } = await run(['inspect', data]);
    assert.match(stdout, new RegExp(`damage: .*${damaged}.* bytes \\d+-\\d+`));
    assert.equal(code, 1);
  });

  it('says that there is nothing to inspect', async () => {
    const directory = await scratch();
    const { code, stdout, stderr } = await run(['inspect', join(directory, 'none')]);
    assert.match(stderr, /^postrider: .*none/);
    assert.equal(stderr.trimEnd().split('\n').length, 1);
    assert.equal(stdout, '');
    assert.equal(code, 3);
  });
});
