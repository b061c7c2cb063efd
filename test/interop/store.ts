/** The store as a client of another language plays it: go/main.go, java/Store.java. The broker is killed in the middle. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { BrokerProcess } from '../../src/demo/broker.ts';
import { Launcher } from '../../src/demo/launch.ts';
import { postrider, scratch } from '../cli/postrider.ts';

export interface StoreEnd {
  /** That were confirmed. */
  readonly orders: number;
  readonly inventory: number;
  readonly payment: number;
  readonly shipping: number;
  /** How often the till lost its connection. */
  readonly reconnected: number;
  /** How many connections came back by themselves. */
  readonly resumed: number;
}

/** The command gets the broker's port as its last argument, says `kill` when the broker is to be killed, and then what came of it. */
export async function playStore(context: TestContext, command: readonly [string, ...string[]]): Promise<StoreEnd> {
  const directory = await scratch();
  const launcher = new Launcher();
  context.after(() => launcher.endAll());
  const logFile = join(directory, 'broker.log');
  const broker = new BrokerProcess({ launcher, postrider, data: join(directory, 'data'), logFile });
  await broker.start();

  const [program, ...args] = command;
  const client = spawn(program, [...args, String(broker.port)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 300_000,
  });
  const ended = once(client, 'close');
  let stderr = '';
  client.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  let last = '';
  for await (const line of createInterface({ input: client.stdout })) {
    last = line;
    if (line !== 'kill') continue;
    await broker.kill();
    await broker.start();
  }
  const [code] = (await ended) as [number | null];
  assert.equal(code, 0, `${last}\n${stderr}`);
  assert.equal(await broker.stop(), 0);
  return JSON.parse(last) as StoreEnd;
}

/** Every service had every order that was confirmed, and the connections did come back. */
export function assertServed({ orders, inventory, payment, shipping, reconnected, resumed }: StoreEnd): void {
  assert.deepEqual({ inventory, payment, shipping }, { inventory: orders, payment: orders, shipping: orders });
  assert.ok(orders >= 200 && reconnected >= 1 && resumed >= 2, `${orders} orders, ${reconnected}, ${resumed}`);
}
