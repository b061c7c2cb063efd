/** What becomes of a message when its channel, or the whole connection, is ended by the broker. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, it } from 'node:test';
import { AMQPChannelError, AMQPConnectionError, type AMQPError, type Channel } from 'rabbitmq-client';
import { PostriderError } from '../../../src/api/errors.ts';
import { Lane, type Pending } from '../../../src/api/remote/lane.ts';
import type { RemoteConnection } from '../../../src/api/remote/remote-connection.ts';
import { until } from '../bench.ts';

/** A broker's side of a channel that never confirms. */
class Ending extends EventEmitter {
  active = true;
  readonly #fail: ((error: Error) => void)[] = [];

  get published(): number {
    return this.#fail.length;
  }

  confirmSelect(): Promise<void> {
    return Promise.resolve();
  }

  basicPublish(): Promise<void> {
    return new Promise((_resolve, reject) => this.#fail.push(reject));
  }

  end(error: Error): void {
    this.active = false;
    for (const fail of this.#fail) fail(error);
    this.emit('close');
  }
}

/** `error`: as the client makes it, of the code alone. */
async function codeAfter(error: AMQPError): Promise<string> {
  const channel = new Ending();
  const connection = {
    up: true,
    blocked: false,
    channel: () => Promise.resolve(channel as unknown as Channel),
    closeChannel: () => Promise.resolve(),
  } as unknown as RemoteConnection;
  const lane = new Lane(connection, () => new PostriderError('REFUSED', 'nack'), false);
  const told = new Promise<string>((resolve) => {
    const pending: Pending = {
      to: { exchange: '', routingKey: 'q', mandatory: true },
      envelope: {},
      body: Buffer.alloc(0),
      until: Infinity,
      late: () => undefined,
      signal: undefined,
      resolve: () => resolve('stored'),
      reject: ({ code }) => resolve(code),
      returned: false,
    };
    lane.push(pending);
  });
  await until('it is sent', () => channel.published === 1);
  channel.end(error);
  return told;
}

describe('a publish that the broker did not take', () => {
  it('waits with the others while the broker has no space, and is sent again', async () => {
    const refused: ((error: Error) => void)[] = [];
    const sent: string[] = [];
    const channel = Object.assign(new EventEmitter(), {
      active: true,
      confirmSelect: () => Promise.resolve(),
      basicPublish: (_envelope: unknown, body: Buffer) => {
        sent.push(body.toString());
        return new Promise<void>((resolve, reject) => (sent.length > 3 ? resolve() : refused.push(reject)));
      },
    });
    const connection = {
      up: true,
      blocked: false,
      channel: () => Promise.resolve(channel as unknown as Channel),
      closeChannel: () => Promise.resolve(),
    };
    const lane = new Lane(
      connection as unknown as RemoteConnection,
      () => new PostriderError('QUEUE_FULL', 'nack'),
      false,
    );
    const told: string[] = [];
    const publish = (text: string): void =>
      lane.push({
        to: { exchange: '', routingKey: 'q', mandatory: true },
        envelope: {},
        body: Buffer.from(text),
        until: Infinity,
        late: () => undefined,
        signal: undefined,
        resolve: () => told.push(`${text} stored`),
        reject: ({ code }) => told.push(`${text} ${code}`),
        returned: false,
      });
    const nack = (): void => refused.shift()!(Object.assign(new Error('nacked'), { code: 'NACK' }));
    publish('0');
    await until('it is sent', () => sent.length === 1);
    nack();
    await until('it is told', () => told.length === 1);
    for (const text of ['1', '2']) publish(text);
    await until('both are sent', () => sent.length === 3);
    connection.blocked = true;
    publish('3');
    nack();
    nack();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(told, ['0 QUEUE_FULL']);
    connection.blocked = false;
    lane.pump();
    await until('all are told', () => told.length === 4);
    assert.deepEqual(sent, ['0', '1', '2', '1', '2', '3']);
    assert.deepEqual(told.slice(1).sort(), ['1 stored', '2 stored', '3 stored']);
  });
});

describe('the only publish in flight', () => {
  for (const code of ['INTERNAL_ERROR', 'RESOURCE_ERROR', 'NOT_ALLOWED']) {
    it(`may be stored when the broker ends its connection with ${code}`, async () => {
      assert.equal(await codeAfter(new AMQPConnectionError(code)), 'UNKNOWN_OUTCOME');
    });
  }

  it('is refused when the broker ends its channel with that', async () => {
    assert.equal(await codeAfter(new AMQPChannelError('ACCESS_REFUSED')), 'ACCESS_REFUSED');
  });
});
