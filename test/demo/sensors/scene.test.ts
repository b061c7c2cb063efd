/** The scene of the sensors as a user runs it, only smaller. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { postrider, run, scratch, start } from '../../cli/postrider.ts';
import { left, running } from '../leftovers.ts';

describe('the demo of the sensors', { timeout: 900_000 }, () => {
  it('kills the broker in the middle of a burst, and loses nothing', async () => {
    const directory = await scratch();
    const { code, stdout, stderr } = await run(['demo', 'sensors', '--sensors', '300'], { TMPDIR: directory });
    assert.equal(stderr, '');
    assert.match(stdout, /sensors +300 are connected, over MQTT/);
    assert.match(stdout, /broker +killed \(SIGKILL, pid \d+\) in the middle of it/);
    assert.match(stdout, /acknowledged and must be safe, [1-9]\d* had no answer/);
    assert.match(stdout, /the broker knew 300 sessions/);
    assert.match(stdout, /mean temperatures of 8 groups: 1[78]\.\d\d, /);
    assert.match(
      stdout,
      /\nsensors +300\nreadings sent +3,600\nsent again +[1-9]\d*\nstored \(acknowledged\) +3,600\n/,
    );
    assert.match(stdout, /\nreceived +3,600\nredelivered +[\d,]+\npeak queue +[1-9][\d,]*\n/);
    if (existsSync('/proc/self/status')) assert.match(stdout, /\npeak memory +[1-9]\d* MiB\n/);
    assert.match(stdout, /\nlost 0\n$/);
    assert.equal(code, 0);
    assert.deepEqual(await left(directory), []);
    assert.deepEqual(running(directory), []);
  });

  it('says what was lost when the broker forgets', async () => {
    const directory = await scratch();
    const args = ['demo', 'sensors', '--sensors', '300', '--data', 'memory:'];
    const { code, stdout } = await run(args, { TMPDIR: directory });
    assert.match(stdout, /at-least-once: BROKEN\n {2}\d+ confirmed messages lost/);
    assert.match(stdout, /\nlost [1-9]\d*\nhistories and logs: /);
    assert.equal(code, 1);
  });

  it('leaves nothing behind on Ctrl-C', async (context) => {
    const directory = await scratch();
    const demo = start(['demo', 'sensors', '--sensors', '300'], { TMPDIR: directory });
    context.after(() => demo.child.kill('SIGKILL'));
    while (!/ burst 1/.test(await demo.line()));
    if (existsSync('/proc/self/cmdline')) assert.notDeepEqual(running(directory), []);
    demo.child.kill('SIGINT');
    const { code, stderr } = await demo.finished;
    assert.equal(stderr, '');
    assert.equal(code, 130);
    assert.deepEqual(await left(directory), []);
    assert.deepEqual(running(directory), []);
  });

  it('wants no option of the other scene', async () => {
    for (const [args, message] of [
      [['sensors', '--orders', '10'], /--orders belongs to the scene of the store: "postrider demo"/],
      [['sensors', '--embedded'], /--embedded belongs to the scene of the store/],
      [['sensors', '--url', 'amqp://localhost'], /--url belongs to the scene of the store/],
      [['--sensors', '10'], /--sensors belongs to the scene of the sensors: "postrider demo sensors"/],
      [['store', '--sensors', '10'], /--sensors belongs to the scene of the sensors/],
      [['sensors', '--sensors', '0'], /--sensors must be a whole number from 1, not "0"/],
      [['sensors', '--sensors', '20001'], /--sensors may be 20000 at most, not 20001/],
      [['circus'], /scene must be one of store, sensors, not "circus"/],
    ] as const) {
      const { code, stdout, stderr } = await run(['demo', ...args]);
      assert.match(stderr, message);
      assert.equal(stdout, '');
      assert.equal(code, 2);
    }
  });

  it('says before it begins that there are too few file descriptors', async (context) => {
    if (!existsSync('/proc/self/limits')) {
      context.skip('the system does not tell its limits');
      return;
    }
    const child = spawn('sh', ['-c', 'ulimit -n 600 && exec "$@"', 'sh', ...postrider, 'demo', 'sensors']);
    const exited = once(child, 'exit');
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    const few = /5000 sensors are .* may have 600 files .*\(ulimit -n 6000\), or take fewer: --sensors 328/;
    assert.match(stderr, few);
    assert.equal(stdout, '');
    assert.deepEqual(await exited, [1, null]);
  });
});
