import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { OutputBudget } from '../../../src/server/socket/output-budget.ts';
import { beginTurn, chunkBytes, Output, smallChunkBytes } from '../../../src/server/socket/output.ts';
import { defaultAmqpSettings } from '../../../src/server/amqp/settings.ts';
import { publish } from '../amqp/raw-client.ts';
import { serve } from '../amqp/serve.ts';

const served = await serve();

test('a few messages go out before the engine has the end of the turn, many after it', async (t) => {
  const publisher = await served.client();
  const consumer = await served.client();
  await publisher.declare('first-out');
  await consumer.consume('first-out', 'c');
  let order: string[] = [];
  const flush = Reflect.get(Output.prototype, 'flush');
  t.mock.method(Output.prototype, 'flush', function (this: Output) {
    if (this.unsent > 0) order.push('sent');
    flush.call(this);
  });
  const begin = served.broker.begin.bind(served.broker);
  t.mock.method(served.broker, 'begin', () => {
    // As the journal does to close its group.
    setImmediate(() => order.push('engine'));
    return begin();
  });
  publisher.send(publish('first-out', 'x'));
  await consumer.message('basic.deliver');
  assert.deepEqual(order.slice(0, 2), ['sent', 'engine']);
  order = [];
  publisher.send(publish('first-out', 'x'.repeat(10_000)));
  await consumer.message('basic.deliver');
  assert.deepEqual(order.slice(0, 2), ['engine', 'sent']);
});

test('what is written once the socket is gone counts for nobody', () => {
  const budget = new OutputBudget(defaultAmqpSettings);
  const output = new Output(new Socket(), budget, () => undefined);
  output.writeFrame(Buffer.alloc(10));
  assert.ok(budget.heldBytes > 0);
  output.close();
  assert.equal(budget.heldBytes, 0);
  output.writeFrame(Buffer.alloc(10));
  output.write(Buffer.alloc(200_000), 0, 200_000);
  output.reserve(Output.maxReserve);
  output.at += Output.maxReserve;
  output.end();
  assert.equal(budget.heldBytes, 0);
});

test('who is sent little takes little, and who is sent more takes a chunk', () => {
  const budget = new OutputBudget(defaultAmqpSettings);
  const outputs = Array.from({ length: 1000 }, () => new Output(new Socket(), budget, () => undefined));
  for (const output of outputs) output.writeFrame(Buffer.alloc(4));
  assert.equal(budget.heldBytes, 1000 * smallChunkBytes);
  const [output] = outputs;
  const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));
  output?.writeFrame(bytes);
  assert.equal(budget.heldBytes, 1000 * smallChunkBytes + 2 * chunkBytes);
  assert.equal(output?.unsent, 4 + bytes.length);
  for (const each of outputs) each.close();
  assert.equal(budget.heldBytes, 0);
});

test('where many are written to in a turn, those who were first do not wait for its end', async () => {
  const budget = new OutputBudget(defaultAmqpSettings);
  let sent = 0;
  const socket = new Socket();
  socket.write = () => ++sent > 0;
  const outputs = Array.from({ length: 1000 }, () => new Output(socket, budget, () => undefined));
  let atMost = 0;
  for (const [written, output] of outputs.entries()) {
    beginTurn();
    output.writeFrame(Buffer.alloc(4));
    atMost = Math.max(atMost, written + 1 - sent);
  }
  assert.ok(sent >= 800, `${sent} of 1000 were sent`);
  assert.ok(atMost <= 200, `${atMost} waited`);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(sent, 1000);
  for (const each of outputs) each.close();
});
