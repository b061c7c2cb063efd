import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { renderTopology } from '../../src/cli/topology-tables.ts';
import { paintFor } from '../../src/cli/terminal.ts';
import type { VhostDescription } from '../../src/broker/index.ts';
import { fileBroker, jsonLines, servedBroker } from './verb.ts';
import { Sheet } from './sheet.ts';

describe('queues and topology', { timeout: 300_000 }, () => {
  it('are asked of a Postrider over AMQP', async (context) => {
    const { mq, run } = await servedBroker(context, { orders: {}, billing: { deadLetter: false } });
    await (await mq.queue('orders')).publishAll(['one', 'two']);
    await mq.topic('orders.*').subscribe('orders');
    const table = await run(['queues']);
    assert.equal(table.stderr, '');
    assert.equal(
      table.stdout,
      [
        'QUEUE        READY  UNACKED  CONSUMERS  SIZE',
        'billing          0        0          0   0 B',
        'orders           2        0          0  10 B',
        'orders.dead      0        0          0   0 B',
        '',
      ].join('\n'),
    );
    const [topology] = jsonLines((await run(['topology', '--json'])).stdout);
    const { queues, bindings } = topology as unknown as VhostDescription;
    assert.deepEqual(
      queues.map(({ name, ready }) => [name, ready]),
      [
        ['billing', 0],
        ['orders', 2],
        ['orders.dead', 0],
      ],
    );
    assert.deepEqual(bindings, [
      { source: 'amq.topic', destination: 'orders', destinationType: 'queue', routingKey: 'orders.*', arguments: {} },
    ]);
  });

  it('are told by a Postrider that takes no messages', async (context) => {
    const { mq, run } = await servedBroker(context, { orders: {} });
    mq.broker!.pressure.setDisk(true);
    const { code, stdout } = await run(['queues', '--json']);
    assert.deepEqual([code, jsonLines(stdout).map(({ name }) => name)], [0, ['orders', 'orders.dead']]);
  });

  it('are read from a directory', async (context) => {
    const broker = await fileBroker(context, { orders: {} });
    const listed = await broker.run(['queues', '--json']);
    assert.deepEqual(
      jsonLines(listed.stdout).map(({ name, durable, ready }) => [name, durable, ready]),
      [
        ['orders', true, 0],
        ['orders.dead', true, 0],
      ],
    );
    assert.match(
      (await broker.run(['topology'])).stdout,
      /^vhost \/\n\nqueues \(2\)\n {2}QUEUE +READY +CONSUMERS +SETTINGS\n/,
    );
  });

  it('that are named need no list, and one that is missing is told', async (context) => {
    const { run } = await servedBroker(context, { orders: {} });
    const { code, stdout, stderr } = await run(['queues', 'orders', 'nothing', '--json']);
    assert.deepEqual([code, stderr], [1, "postrider: there is no queue 'nothing'\n"]);
    assert.deepEqual(jsonLines(stdout), [{ name: 'orders', ready: 0, unacked: null, delayed: null, consumers: 0 }]);
  });

  it('fit into a terminal', () => {
    const traits = {
      durable: true,
      autoDelete: false,
      exclusive: false,
      unacked: 0,
      delayed: 0,
      readyBytes: 0,
      consumers: 1,
    };
    const dead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'a.dead' };
    const lines = renderTopology(
      {
        vhost: '/',
        queues: [
          {
            ...traits,
            name: 'a',
            ready: 1234,
            arguments: { 'x-queue-type': 'quorum', ...dead, 'x-delivery-limit': 20 },
          },
          { ...traits, name: 'evil\u001b[2J', ready: 0, arguments: {} },
        ],
        exchanges: [
          { name: '', type: 'direct', durable: true, autoDelete: false, internal: false, arguments: {} },
          { name: 'amq.topic', type: 'topic', durable: true, autoDelete: false, internal: false, arguments: {} },
          { name: 'mine', type: 'fanout', durable: false, autoDelete: true, internal: false, arguments: {} },
          {
            name: 'later',
            type: 'x-delayed-message',
            durable: true,
            autoDelete: false,
            internal: false,
            delayed: 1_000_000,
            duplicates: 0,
            arguments: {},
          },
        ],
        bindings: [
          { source: 'amq.topic', destination: 'a', destinationType: 'queue', routingKey: '#', arguments: {} },
          {
            source: 'mine',
            destination: 'amq.topic',
            destinationType: 'exchange',
            routingKey: '',
            arguments: { n: 1 },
          },
        ],
      },
      60,
      paintFor(new Sheet(false)),
    );
    assert.equal(
      lines.join('\n'),
      [
        'vhost /',
        '',
        'queues (2)',
        '  QUEUE        READY  CONSUMERS  SETTINGS',
        '  a            1,234          1  durable, quorum, dead lett…',
        '  evil\\x1b[2J      0          1  durable',
        '',
        'exchanges (3)',
        '  EXCHANGE   TYPE               SETTINGS',
        '  amq.topic  topic              durable',
        '  mine       fanout             transient, auto-delete',
        '  later      x-delayed-message  durable, 1,000,000 delayed',
        '  and 1 built-in one that nothing is bound to',
        '',
        'bindings (2)',
        '  FROM       ROUTING KEY  TO                  ARGUMENTS',
        '  amq.topic  #            a',
        '  mine                    exchange amq.topic  n=1',
      ].join('\n'),
    );
  });
});
