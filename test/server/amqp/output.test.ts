import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Output } from '../../../src/server/amqp/output.ts';
import { publish } from './raw-client.ts';
import { serve } from './serve.ts';

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
