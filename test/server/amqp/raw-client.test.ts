import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serve } from './serve.ts';

const served = await serve();

test('a frame that does not come is a failure that names it, not a hang', async () => {
  const client = await served.client();
  await assert.rejects(client.expect('basic.deliver', 20), { message: 'basic.deliver did not come within 20 ms' });
  await client.declare('still-usable');
});
