import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Broker } from '../../src/broker/index.ts';
import { refusal } from '../../src/api/embedded/broker-failure.ts';
import { asError } from '../../src/api/errors.ts';
import { connect } from '../../src/index.ts';
import { openLocal } from '../../src/engine/local/index.ts';

const hostile = (): unknown =>
  new Proxy(
    {},
    {
      getPrototypeOf() {
        throw new Error('trap');
      },
    },
  );

describe('what is thrown', () => {
  it('becomes an error, however strange it is', () => {
    for (const thrown of [hostile(), Object.create(null), null, undefined, Symbol('s'), 1n, () => 1]) {
      const error = asError(thrown);
      assert.equal(typeof error.message, 'string');
      assert.equal(error.cause, thrown);
    }
  });

  it('by a handler is its message’s affair alone', async () => {
    await using mq = await connect('memory:', { log: () => undefined });
    const queue = await mq.queue<string>('orders');
    await queue.publish('x');
    const failed = new Promise<string>((resolve) => mq.on('handlerFailed', (error) => resolve(error.message)));
    const consumer = await queue.consume(() => {
      throw hostile();
    });
    assert.match(await failed, /no error/);
    await consumer.close();
  });
});

describe('a message that is too large for an embedded engine', () => {
  it('is told with its size and the limit', async () => {
    const broker = new Broker({ engine: openLocal('memory:') });
    await broker.open();
    const to = { exchange: '', routingKey: 'q', mandatory: true };
    const body = Buffer.alloc(128 * 1024 * 1024 + 1);
    const { code, message } = refusal('too-large', to, { body }, broker.vhost('/')!);
    assert.equal(code, 'TOO_LARGE');
    assert.match(message, /a message of 134217729 bytes for queue 'q' .*: 134217728 bytes;/);
    assert.match(refusal('too-large', to, { body: 'x' }, broker.vhost('/')!).message, /the headers .*: 16777215 bytes/);
    await broker.close();
  });
});
