/** The API's cases against a RabbitMQ of this machine. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Broker } from '../../src/bench/broker.ts';
import { findRabbitMq } from '../../src/bench/rabbitmq.ts';
import { connect } from '../../src/index.ts';
import { lostConnectionCases } from '../api/cases/lost-connection.ts';
import { apiSuite } from '../api/suite.ts';

const contender = findRabbitMq();
if (contender?.start === undefined) {
  test('the API on amqp: to a RabbitMQ', { skip: 'no rabbitmq-server on this machine' }, () => undefined);
} else {
  const { start } = contender;
  describe('the API and a RabbitMQ', () => {
    let broker!: Broker;
    let data = '';
    before(async () => {
      data = await mkdtemp(join(tmpdir(), 'postrider-rabbitmq-'));
      broker = await start(data);
    });
    after(async () => {
      await broker?.stop();
      await rm(data, { recursive: true, force: true });
    });
    const open = (): ReturnType<typeof connect> => connect(`amqp://127.0.0.1:${broker.address.port}`);
    apiSuite({ name: 'amqp: to a RabbitMQ', kind: 'rabbitmq', open });
    lostConnectionCases('to a RabbitMQ', async () => {
      const mq = await open();
      return { port: broker.address.port, mq, close: () => mq.close() };
    });
  });
}
