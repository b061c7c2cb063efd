/** What was aborted before it was sent is not sent later. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../../../src/index.ts';
import type { Address, LinkEvents, Outgoing } from '../../../src/api/link.ts';
import { RemoteLink } from '../../../src/api/remote/remote-link.ts';
import { rejects, until } from '../bench.ts';

const to: Address = { exchange: '', routingKey: 'aborted', mandatory: true };
const outgoing = (body: string): Outgoing => ({ body, properties: {}, delayMs: 0 });

test('a publish that is aborted while the broker takes none is stored neither then nor later', async (context) => {
  const here = await connect('memory:', { log: () => undefined });
  const { amqp } = await here.listen({ amqp: { port: 0 } });
  let blocked = false;
  const events: LinkEvents = {
    blocked: () => (blocked = true),
    unblocked: () => (blocked = false),
    disconnected: () => undefined,
    reconnected: () => undefined,
    failed: () => undefined,
  };
  const link = await RemoteLink.open(`amqp://127.0.0.1:${amqp!.port}`, {}, events);
  context.after(async () => {
    await link.close();
    await here.close();
  });
  const queue = await here.queue<Buffer>('aborted');
  await link.publish(to, outgoing('before'));
  here.broker!.pressure.setDisk(true);
  await until('it is told', () => blocked);
  const abort = new AbortController();
  const kept = link.publish(to, outgoing('kept'), new AbortController().signal);
  const given = rejects(link.publish(to, outgoing('given up'), abort.signal), 'ABORTED');
  abort.abort();
  // Many that nobody waits for are not kept until the broker takes messages again.
  const many = Array.from({ length: 1_100 }, () =>
    rejects(link.publish(to, outgoing('many'), abort.signal), 'ABORTED'),
  );
  await Promise.all(many.slice(0, 1_000));
  await given;
  here.broker!.pressure.setDisk(false);
  await Promise.all([kept, ...many]);
  await link.publish(to, outgoing('after'));
  const bodies = (await queue.peek(10)).map(({ payload }) => Buffer.from(payload).toString());
  assert.deepEqual(bodies, ['before', 'kept', 'after']);
});
