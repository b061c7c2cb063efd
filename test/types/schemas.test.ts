/** zod's, valibot's and arktype's schemas, checked where a message is published and where it is consumed. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { connect, type Message, type Mq, type PostriderError, type StandardSchema } from 'postrider';
import { ofArktype, ofValibot, ofZod } from './schema-declarations.ts';

const mq: Mq = await connect('memory:');
after(() => mq.close());

const schemas: Record<string, StandardSchema> = { zod: ofZod, valibot: ofValibot, arktype: ofArktype };

for (const [library, schema] of Object.entries(schemas)) {
  describe(library, () => {
    test('a payload that fits is sent as it is, and consumed as the schema makes it', async () => {
      const queue = await mq.queue(`${library}-fits`, { schema });
      await queue.publish({ id: 1, price: '12.50' });
      const [sent] = await (await mq.queue(`${library}-fits`)).peek();
      assert.deepEqual(sent?.payload, { id: 1, price: '12.50' });
      assert.deepEqual(await next(queue), { id: 1, price: 12.5, express: false });
    });

    test('one that does not is refused before it is sent', async () => {
      const queue = await mq.queue(`${library}-refused`, { schema });
      await assert.rejects(queue.publish({ id: 'one', price: '1' }), (error: PostriderError) => {
        assert.equal(error.code, 'SCHEMA_MISMATCH');
        assert.match(error.message, /^publish to queue '\w+-refused': the payload does not fit the schema: .*\bid\b/);
        assert.ok(Array.isArray(error.cause));
        return true;
      });
      assert.equal((await queue.stats()).ready, 0);
    });

    test('one that comes in and does not fit is a dead letter, and no handler sees it', async () => {
      const name = `${library}-poison`;
      await (await mq.queue(name)).publish({ id: 'one' });
      const queue = await mq.queue(name, { schema });
      await queue.publish({ id: 2, price: '2' });
      assert.deepEqual(await next(queue), { id: 2, price: 2, express: false });
      const [dead] = await queue.deadLetters!.peek();
      assert.deepEqual(dead?.payload, { id: 'one' });
      assert.equal(dead.headers['x-dead-letter-reason'], 'schema-mismatch');
      assert.match(dead.headers['x-dead-letter-error'] as string, /id/);
    });

    test('a topic has a schema too', async () => {
      const topic = mq.topic(`${library}.placed`, { schema });
      const subscription = await topic.subscribe(`${library}-subscription`);
      await assert.rejects(topic.publish({ id: 1 }), { code: 'SCHEMA_MISMATCH' });
      await topic.publish({ id: 1, price: '3' });
      assert.deepEqual(await next(subscription), { id: 1, price: 3, express: false });
    });
  });
}

async function next(queue: { messages(): AsyncIterable<Message> }): Promise<unknown> {
  for await (const message of queue.messages()) {
    await message.ack();
    return message.payload;
  }
  return assert.fail('no message came');
}
