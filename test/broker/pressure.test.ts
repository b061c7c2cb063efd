import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brokerSettings, memoryBytes } from '../../src/broker/broker-settings.ts';
import { Pressure } from '../../src/broker/pressure.ts';
import type { Clock } from '../../src/engine/clock.ts';

function pressureOf(residentBytes: () => number) {
  const tasks: { delayMs: number; task: () => void; cancelled: boolean }[] = [];
  const clock: Clock = {
    now: () => 0,
    defer: (task) => task(),
    after: (delayMs, task) => {
      const timer = { delayMs, task, cancelled: false };
      tasks.push(timer);
      return { cancel: () => (timer.cancelled = true) };
    },
  };
  const told: string[] = [];
  const pressure = new Pressure(clock, brokerSettings({ memoryWatermarkBytes: 100 }), residentBytes);
  const stop = pressure.subscribe({
    blocked: (reason) => told.push(reason),
    unblocked: () => told.push('unblocked'),
    behind: () => told.push('behind'),
    caughtUp: () => told.push('caught up'),
  });
  return { pressure, tasks, told, stop };
}

test('memory is sampled once a second, and alarms are told when they change', () => {
  let resident = 50;
  const { pressure, tasks, told, stop } = pressureOf(() => resident);
  pressure.start();
  assert.equal(tasks[0]!.delayMs, 1000);
  tasks[0]!.task();
  assert.deepEqual(told, []);
  resident = 101;
  tasks[1]!.task();
  assert.equal(pressure.blocked, 'low on memory');
  pressure.setDisk(true);
  resident = 99;
  tasks[2]!.task();
  pressure.setDisk(false);
  pressure.setDisk(false);
  pressure.setBehind(true);
  pressure.setBehind(false);
  assert.deepEqual(told, ['low on memory', 'low on memory & disk', 'low on disk', 'unblocked', 'behind', 'caught up']);
  stop();
  pressure.setDisk(true);
  assert.equal(told.length, 6);
  pressure.stop();
  assert.equal(tasks.at(-1)!.cancelled, true);
});

test('a container that may take less than the machine has counts', () => {
  assert.equal(memoryBytes(1000, 400), 400);
  for (const unlimited of [0, 2 ** 64]) assert.equal(memoryBytes(1000, unlimited), 1000);
});
