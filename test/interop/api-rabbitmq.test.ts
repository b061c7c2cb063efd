/** The API's cases against a RabbitMQ of this machine. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Broker } from '../../src/bench/broker.ts';
import { findRabbitMq } from '../../src/bench/rabbitmq.ts';
import { connect } from '../../src/index.ts';
import { apiSuite } from '../api/suite.ts';

const contender = findRabbitMq();
if (contender?.start === undefined) {
  test('the API on amqp: to a RabbitMQ', { skip: 'no rabbitmq-server on this machine' }, () => undefined);
} else {
  const { start } = contender;
  let broker: Broker | null = null;
  let data = '';
  apiSuite({
    name: 'amqp: to a RabbitMQ',
    kind: 'rabbitmq',
    async open() {
      if (broker === null) {
        data = await mkdtemp(join(tmpdir(), 'postrider-rabbitmq-'));
        broker = await start(data);
      }
      return connect(`amqp://127.0.0.1:${broker.address.port}`);
    },
    async close() {
      await broker?.stop();
      await rm(data, { recursive: true, force: true });
    },
  });
}
