/** mosquitto_pub, mosquitto_sub and mosquitto_rr (Debian: mosquitto-clients), in 3.1.1 and 5.0; and across to amqplib. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { describe, test, type TestContext } from 'node:test';
import { createInterface } from 'node:readline';
import { connect as connectAmqp, type ConsumeMessage } from 'amqplib';
import { absent, run } from '../program.ts';
import { unique } from '../target.ts';
import { Arrivals } from './arrivals.ts';
import { mqttTarget } from './target.ts';

const target = await mqttTarget();
const skip = absent('mosquitto_sub (mosquitto-clients)', ['sh', '-c', 'command -v mosquitto_sub']);
const versions = ['311', '5'] as const;
const named = { '311': '3.1.1', '5': '5.0' } as const;

type Version = (typeof versions)[number];

const plain = ['-h', '127.0.0.1', '-p', String(target.ports.mqtt)];
const secure = ['-h', 'localhost', '-p', String(target.ports.mqtts), '--cafile', target.certPath];

async function publish(version: Version, args: readonly string[], where = plain, input = ''): Promise<void> {
  const { code, stderr } = await run('mosquitto_pub', [...where, '-V', version, ...args], input);
  assert.deepEqual([code, stderr], [0, '']);
}

interface Subscriber {
  /** Lines as `-F` makes them. */
  readonly arrivals: Arrivals<string>;
  readonly child: ChildProcess;
}

/** Resolves once it is subscribed. `%q`, `%r`, `%t` and `%p` are told of each message. */
async function subscribe(
  context: TestContext,
  version: Version,
  args: readonly string[],
  where = plain,
): Promise<Subscriber> {
  const format = 'message %q %r %t %p';
  const child = spawn('stdbuf', ['-oL', 'mosquitto_sub', ...where, '-V', version, '-d', '-F', format, ...args]);
  context.after(() => child.kill('SIGKILL'));
  const arrivals = new Arrivals<string>();
  const said: string[] = [];
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      said.push(line);
      if (line.startsWith('message ')) arrivals.add(line.slice('message '.length));
      if (line.startsWith('Subscribed ')) resolve();
    });
    child.stderr.on('data', (chunk: Buffer) => said.push(chunk.toString()));
    child.once('error', reject);
    child.once('close', () => reject(new Error(`mosquitto_sub ended: ${said.join('\n')}`)));
  });
  return { arrivals, child };
}

for (const version of versions) {
  describe(`mosquitto's clients, ${named[version]}`, { skip }, () => {
    for (const [name, where] of [
      ['TCP', plain],
      ['TLS', secure],
    ] as const) {
      test(`QoS 0, 1 and 2 over ${name}`, async (context) => {
        const root = unique('qos');
        const { arrivals } = await subscribe(context, version, ['-q', '2', '-t', `${root}/#`], where);
        for (const qos of ['0', '1', '2']) {
          await publish(version, ['-q', qos, '-t', `${root}/${qos}`, '-m', `at ${qos}`], where);
        }
        assert.deepEqual(
          await arrivals.exactly(3),
          ['0', '1', '2'].map((qos) => `${qos} 0 ${root}/${qos} at ${qos}`),
        );
        assert.deepEqual(target.bugs(), []);
      });
    }

    test('a thousand messages of one connection, in their order', async (context) => {
      const topic = unique('many');
      const { arrivals } = await subscribe(context, version, ['-q', '2', '-t', topic]);
      const lines = Array.from({ length: 1_000 }, (_, i) => `line ${i}`);
      await publish(version, ['-q', '2', '-t', topic, '-l'], plain, `${lines.join('\n')}\n`);
      assert.deepEqual(
        await arrivals.exactly(1_000),
        lines.map((line) => `2 0 ${topic} ${line}`),
      );
    });

    test('retained messages', async (context) => {
      const root = unique('retained');
      await publish(version, ['-q', '1', '-r', '-t', `${root}/a`, '-m', 'old']);
      await publish(version, ['-q', '1', '-r', '-t', `${root}/a`, '-m', 'new']);
      await publish(version, ['-q', '2', '-r', '-t', `${root}/b`, '-m', 'x']);
      await publish(version, ['-r', '-n', '-t', `${root}/b`]);
      await target.restart();
      const { arrivals } = await subscribe(context, version, ['-q', '1', '-t', `${root}/+`]);
      assert.deepEqual(await arrivals.exactly(1), [`1 1 ${root}/a new`]);
    });

    test('a will, once its client is killed', async (context) => {
      const topic = unique('will');
      const { arrivals } = await subscribe(context, version, ['-q', '1', '-t', topic]);
      const will = ['--will-topic', topic, '--will-payload', 'gone', '--will-qos', '1'];
      const { child } = await subscribe(context, version, ['-t', 'nothing', ...will]);
      child.kill('SIGKILL');
      assert.deepEqual(await arrivals.exactly(1), [`1 0 ${topic} gone`]);
    });

    test('a persistent session over a restart of the broker', async (context) => {
      const topic = unique('session');
      const expiry = version === '5' ? ['-x', '3600'] : [];
      const session = ['-c', '-i', unique('mosquitto'), '-q', '2', '-t', topic, ...expiry];
      const first = await run('mosquitto_sub', [...plain, '-V', version, ...session, '-E']);
      assert.deepEqual([first.code, first.stderr], [0, '']);
      await publish(version, ['-q', '1', '-t', topic, '-m', 'one']);
      await publish(version, ['-q', '2', '-t', topic, '-m', 'two']);
      await target.restart();
      await publish(version, ['-q', '2', '-t', topic, '-m', 'three']);
      const { arrivals } = await subscribe(context, version, session);
      assert.deepEqual(await arrivals.exactly(3), [`1 0 ${topic} one`, `2 0 ${topic} two`, `2 0 ${topic} three`]);
      assert.deepEqual(target.bugs(), []);
    });

    test('to a durable AMQP queue, and back', async (context) => {
      const amqp = await connectAmqp(target.amqpUrl);
      context.after(() => amqp.close().catch(() => undefined));
      const channel = await amqp.createConfirmChannel();
      const root = unique('cross');
      const { queue } = await channel.assertQueue(root, { durable: true });
      await channel.bindQueue(queue, 'amq.topic', `${root}.up`);
      for (const qos of ['0', '1', '2']) await publish(version, ['-q', qos, '-t', `${root}/up`, '-m', `at ${qos}`]);
      const inbox = new Arrivals<ConsumeMessage>();
      await channel.consume(queue, (message) => inbox.add(message!), { noAck: true });
      const contents = (await inbox.exactly(3)).map(({ content }) => content.toString());
      assert.deepEqual(contents, ['at 0', 'at 1', 'at 2']);
      const { arrivals } = await subscribe(context, version, ['-q', '2', '-t', `${root}/down`]);
      channel.publish('amq.topic', `${root}.down`, Buffer.from('hello'), { persistent: true });
      await channel.waitForConfirms();
      assert.deepEqual(await arrivals.exactly(1), [`1 0 ${root}/down hello`]);
    });
  });
}

describe("mosquitto's clients, of 5.0 alone", { skip }, () => {
  test('a request is answered, with its correlation data', async (context) => {
    const root = unique('rpc');
    const amqp = await connectAmqp(target.amqpUrl);
    context.after(() => amqp.close().catch(() => undefined));
    const channel = await amqp.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, 'amq.topic', `${root}.ask`);
    await channel.consume(queue, (message) => {
      const { properties } = message!;
      const correlationId = String(properties.correlationId);
      channel.publish('amq.topic', String(properties.replyTo), Buffer.from('three'), { correlationId });
    });
    const ask = ['-D', 'publish', 'correlation-data', '17', '-t', `${root}/ask`, '-e', `${root}/answer`];
    const asked = await run('mosquitto_rr', [...plain, '-V', '5', '-q', '1', ...ask, '-m', 'how many?', '-F', '%p %D']);
    assert.deepEqual([asked.code, asked.stdout, asked.stderr], [0, 'three 17\n', '']);
  });

  test('user properties and a content type arrive', async (context) => {
    const topic = unique('properties');
    const child = spawn('mosquitto_sub', [...plain, '-V', '5', '-t', topic, '-q', '1', '-C', '1', '-F', '%p %C %P']);
    context.after(() => child.kill('SIGKILL'));
    const said: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => said.push(chunk));
    const ended = new Promise((resolve) => child.once('close', resolve));
    const args = ['-D', 'publish', 'content-type', 'text/plain', '-D', 'publish', 'user-property', 'name', 'value'];
    // Retained, so that it does not matter which of the two is first.
    await publish('5', ['-q', '1', '-r', '-t', topic, ...args, '-m', 'm']);
    await ended;
    assert.equal(Buffer.concat(said).toString(), 'm text/plain name:value\n');
  });

  test('shared subscriptions', async (context) => {
    const topic = unique('shared');
    const members = [0, 1].map(() => subscribe(context, '5', ['-q', '1', '-t', `$share/group/${topic}`]));
    const [first, second] = await Promise.all(members);
    const lines = Array.from({ length: 100 }, (_, i) => `line ${i}`);
    await publish('5', ['-q', '1', '-t', topic, '-l'], plain, `${lines.join('\n')}\n`);
    const end = Date.now() + 60_000;
    const arrived = (): string[] => [...first!.arrivals.all, ...second!.arrivals.all];
    while (arrived().length < 100 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(arrived().sort(), lines.map((line) => `1 0 ${topic} ${line}`).sort());
    assert.ok(first!.arrivals.all.length > 0 && second!.arrivals.all.length > 0);
  });

  test('a login that is refused says so', async () => {
    const { code, stderr } = await run('mosquitto_pub', [
      ...plain,
      ...['-V', '5', '-u', 'nobody', '-P', 'wrong', '-q', '1', '-t', 't', '-m', 'm'],
    ]);
    assert.notEqual(code, 0);
    assert.match(stderr, /bad user name or password|not authori[sz]ed/i);
  });
});
