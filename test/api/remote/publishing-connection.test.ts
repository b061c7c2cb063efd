/** Publishes have a connection of their own, which may be refused where the first one was not. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { connect, type EmbeddedMq, type Mq } from '../../../src/index.ts';
import { rejects, until } from '../bench.ts';
import { CuttableProxy } from '../cuttable-proxy.ts';

/** The login of the client, as a broker gets it. */
const wrongPassword = (bytes: Buffer): Buffer =>
  Buffer.from(bytes.toString('latin1').replace('\0guest\0guest', '\0guest\0GUEST'), 'latin1');

describe('the connection for publishing', () => {
  let broker!: EmbeddedMq;
  let proxy!: CuttableProxy;
  let url = '';

  before(async () => {
    broker = await connect('memory:', { log: () => undefined });
    const { amqp } = await broker.listen({ amqp: { port: 0 } });
    proxy = new CuttableProxy(() => amqp!.port);
    url = `amqp://127.0.0.1:${await proxy.listen()}`;
  });
  after(async () => {
    await proxy.close();
    await broker.close();
  });
  beforeEach(() => {
    proxy.refusing = false;
    proxy.rewrite = null;
  });

  function heard(mq: Mq): string[] {
    const events: string[] = [];
    mq.on('disconnected', ({ code }) => events.push(code));
    mq.on('reconnected', () => events.push('reconnected'));
    return events;
  }

  it('tells when it can not be made at first, and publishes wait for it', async () => {
    await using mq = await connect(url);
    const events = heard(mq);
    const queue = await mq.queue<number>('waiting');
    proxy.refusing = true;
    const published = queue.publish(1);
    await until('it is told', () => events.length === 1);
    proxy.refusing = false;
    await published;
    await until('it is told', () => events.length === 2);
    assert.deepEqual(events, ['UNREACHABLE', 'reconnected']);
  });

  it('rejects what waits when its login is refused at first', async () => {
    await using mq = await connect(url);
    const events = heard(mq);
    const queue = await mq.queue<number>('refused');
    proxy.rewrite = wrongPassword;
    await Promise.all([rejects(queue.publish(1), 'ACCESS_REFUSED'), rejects(queue.publish(2), 'ACCESS_REFUSED')]);
    await rejects(queue.publish(3), 'ACCESS_REFUSED', /user and password/);
    assert.deepEqual(events, ['ACCESS_REFUSED']);
    proxy.rewrite = null;
    await until('it is told', () => events.length === 2);
    await queue.publish(4);
    assert.deepEqual(events, ['ACCESS_REFUSED', 'reconnected']);
    assert.equal((await queue.stats()).ready, 1);
  });

  it('rejects what waits when its login is refused later', async () => {
    await using mq = await connect(url);
    const events = heard(mq);
    const queue = await mq.queue<number>('rotated');
    await queue.publish(1);
    proxy.rewrite = wrongPassword;
    proxy.cut();
    await until('it is told', () => events.length === 2);
    await rejects(queue.publish(2), 'ACCESS_REFUSED');
    proxy.rewrite = null;
    await until('it is told', () => events.length === 3);
    await queue.publish(3);
    assert.deepEqual(events, ['UNREACHABLE', 'ACCESS_REFUSED', 'reconnected']);
    assert.equal((await queue.stats()).ready, 2);
  });
});
