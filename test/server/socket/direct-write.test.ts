import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { defaultAmqpSettings } from '../../../src/server/amqp/settings.ts';
import { writeDirectly } from '../../../src/server/socket/direct-write.ts';
import { OutputBudget } from '../../../src/server/socket/output-budget.ts';
import { Output } from '../../../src/server/socket/output.ts';

/** Both ends of a connection. */
async function pair(t: TestContext): Promise<{ sender: Socket; peer: Socket }> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const peer = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [sender] = (await accepted) as [Socket];
  peer.on('error', () => undefined);
  t.after(() => {
    peer.destroy();
    sender.destroy();
    server.close();
  });
  return { sender, peer };
}

async function textOf(peer: Socket): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of peer) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

/** The first write of a process goes through a stream, and shows how the others can do without. */
async function learn(t: TestContext): Promise<void> {
  const { sender, peer } = await pair(t);
  const bytes = Buffer.from('learnt');
  if (writeDirectly(sender, bytes, () => undefined) === 'no') sender.write(bytes);
  sender.end();
  assert.equal(await textOf(peer), 'learnt');
}

test('a few bytes go past the stream, in their order, and end where the output does', async (t) => {
  await learn(t);
  const { sender, peer } = await pair(t);
  const write = t.mock.method(sender, 'write');
  const budget = new OutputBudget(defaultAmqpSettings);
  const output = new Output(sender, budget, () => undefined);
  for (const text of ['one ', 'two ', 'three']) {
    output.writeFrame(Buffer.from(text));
    output.flush();
  }
  assert.equal(output.unsent, 0);
  assert.equal(budget.heldBytes, 0);
  assert.equal(output.taken, 13);
  output.end();
  assert.equal(await textOf(peer), 'one two three');
  assert.equal(write.mock.callCount(), 0);
});

test('what the system does not take at once waits, and is told of', async (t) => {
  await learn(t);
  const { sender, peer } = await pair(t);
  const bytes = Buffer.alloc(32 * 1024, 'x');
  let sent = 0;
  let answer = 'done';
  const later = new Promise<void>((resolve) => {
    while (answer === 'done') {
      answer = writeDirectly(sender, bytes, resolve);
      sent += bytes.length;
    }
  });
  assert.equal(answer, 'later');
  sender.end();
  assert.equal((await textOf(peer)).length, sent);
  await later;
});

test('to a socket that is gone nothing is written', async (t) => {
  await learn(t);
  const { sender } = await pair(t);
  sender.destroy();
  assert.equal(
    writeDirectly(sender, Buffer.from('x'), () => assert.fail('it was written')),
    'no',
  );
});
