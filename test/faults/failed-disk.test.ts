/** A disk that fails: no confirm, the process ends with its own exit code, and what was confirmed before is there. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { exitCode } from '../../src/cli/exit-code.ts';
import { BrokerProcess } from '../../src/demo/broker.ts';
import { Launcher } from '../../src/demo/launch.ts';
import { postrider, scratch } from '../cli/postrider.ts';
import { connect } from './load.ts';

const queue = 'q';

it('a failed disk confirms nothing and ends the process', { timeout: 300_000 }, async (context) => {
  const directory = await scratch();
  const trigger = join(directory, 'break');
  const launcher = new Launcher();
  context.after(() => launcher.endAll());
  const data = join(directory, 'data');
  const logFile = join(directory, 'broker.log');
  const [node = '', ...rest] = postrider;
  const preload = new URL('./break-disk.js', import.meta.url);
  preload.searchParams.set('trigger', trigger);

  const failing = new BrokerProcess({ launcher, postrider: [node, '--import', preload.href, ...rest], data, logFile });
  await failing.start();

  const connection = connect(failing.url);
  const publisher = connection.createPublisher({ confirm: true, queues: [{ queue, durable: true }] });
  await publisher.send({ routingKey: queue, durable: true }, 'before');

  writeFileSync(trigger, '');
  let confirmed = false;
  const second = publisher.send({ routingKey: queue, durable: true }, 'after').then(
    () => {
      confirmed = true;
    },
    () => undefined,
  );
  const { code } = await failing.exited;
  connection.unsafeDestroy();
  await second;
  assert.equal(confirmed, false, 'confirmed without a sync');
  assert.equal(code, exitCode.engine);
  assert.match(failing.lastWords(), /^postrider: .*(sync|EIO)/);

  const again = new BrokerProcess({ launcher, postrider, data, logFile });
  await again.start();
  const reader = connect(again.url);
  await reader.onConnect();
  const message = await reader.basicGet({ queue, noAck: true });
  assert.equal(String(message?.body), 'before');
  await sleep(0);
  await reader.close();
  assert.equal(await again.stop(), 0);
});
