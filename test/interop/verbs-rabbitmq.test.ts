/** The command line's verbs against a RabbitMQ of this machine. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Broker } from '../../src/bench/broker.ts';
import { findRabbitMq } from '../../src/bench/rabbitmq.ts';
import { connect } from '../../src/index.ts';
import { jsonLines, runVerb } from '../cli/verb.ts';

const start = findRabbitMq()?.start;

describe(
  'verbs on RabbitMQ',
  { skip: start === undefined && 'no rabbitmq-server on this machine', timeout: 300_000 },
  () => {
    let broker: Broker;
    let data = '';
    before(async () => {
      data = await mkdtemp(join(tmpdir(), 'postrider-rabbitmq-'));
      broker = await start!(data);
    });
    after(async () => {
      await broker.stop();
      await rm(data, { recursive: true, force: true });
    });
    const run = (args: readonly string[], input = '') =>
      runVerb([...args, '--url', `amqp://127.0.0.1:${broker.address.port}`], input);

    it('say that it lists nothing, and look at queues that are named', async () => {
      for (const verb of ['queues', 'topology']) {
        const { code, stdout, stderr } = await run([verb]);
        assert.deepEqual([code, stdout], [1, '']);
        assert.equal(
          stderr,
          "postrider: RabbitMQ can't list what it has over AMQP; name the queues: postrider queues NAME...\n",
        );
      }
      assert.match(
        (await run(['publish', 'listed', 'x'])).stderr,
        /^postrider: there is no queue 'listed'; --create makes it\n$/,
      );
      assert.equal((await run(['publish', 'listed', 'x', '--create'])).code, 0);
      assert.deepEqual(jsonLines((await run(['queues', 'listed', '--json'])).stdout), [
        { name: 'listed', ready: 1, unacked: null, delayed: null, consumers: 0 },
      ]);
    });

    it('publish, peek, consume and purge', async () => {
      const published = await run(
        ['publish', 'orders', '--create', '--json', '--header', 'tenant=acme'],
        '1\n2\n3\n4\n',
      );
      assert.deepEqual([published.code, published.stdout], [0, '{"stored":4,"failed":[]}\n']);
      const peeked = await run(['peek', 'orders', '--count', '2', '--json']);
      assert.deepEqual(
        jsonLines(peeked.stdout).map(({ payload, headers }) => [payload, (headers as { tenant: string }).tenant]),
        [
          [1, 'acme'],
          [2, 'acme'],
        ],
      );
      const consumed = await run(['consume', 'orders', '--count', '3', '--timeout', '10s']);
      assert.deepEqual([consumed.code, consumed.stdout, consumed.stderr], [0, '1\n2\n3\n', '']);
      assert.equal((await run(['purge', 'orders'])).stdout, "1 message removed from queue 'orders'\n");
      assert.equal((await run(['consume', 'orders', '--no-wait'])).stdout, '');
    });

    it('redrive', async () => {
      const mq = await connect(`amqp://127.0.0.1:${broker.address.port}`);
      const queue = await mq.queue('failing');
      await queue.publish('x', { id: 'a' });
      const consumer = await queue.consume(
        () => {
          throw new Error('no');
        },
        { retry: false },
      );
      while ((await queue.deadLetters!.stats()).ready < 1) await new Promise((resolve) => setTimeout(resolve, 20));
      await consumer.close();
      await mq.close();
      assert.match((await run(['peek', 'failing.dead'])).stdout, /\na +failed: no +3 B +"x"\n$/);
      const redriven = await run(['redrive', 'failing.dead', '--match', 'id=a']);
      assert.deepEqual([redriven.code, redriven.stderr], [0, '']);
      assert.match(redriven.stdout, /^1 message sent back from queue 'failing\.dead', none left\n$/);
      assert.equal((await run(['consume', 'failing', '--count', '1'])).stdout, '"x"\n');
    });
  },
);
