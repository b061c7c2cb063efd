import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { KeepAliveWheel, type Guarded, type KeepAlive } from '../../../src/server/mqtt/keep-alive.ts';
import { ReadPauses } from '../../../src/server/socket/read-pauses.ts';

class Client implements Guarded {
  readonly pauses = new ReadPauses({ pause: () => undefined, resume: () => undefined });
  readonly output = { taken: 0 };
  missedAt: number | null = null;

  keepAliveMissed(): void {
    this.missedAt = now;
  }
}

let now = 0;
let pass: (ms: number) => void;
let stall: (ms: number) => void;
let wheel: KeepAliveWheel;

beforeEach(() => {
  now = 0;
  mock.method(performance, 'now', () => now);
  mock.timers.enable({ apis: ['setInterval'] });
  pass = (ms) => {
    for (let left = ms; left > 0; left -= 50) {
      now += 50;
      mock.timers.tick(50);
    }
  };
  stall = (ms) => {
    now += ms;
    mock.timers.tick(50);
  };
  wheel = new KeepAliveWheel();
});

afterEach(() => mock.reset());

function guarded(seconds: number): Client & { readonly keepAlive: KeepAlive } {
  const client = new Client();
  return Object.assign(client, { keepAlive: wheel.guard(client, seconds) });
}

test('who is silent for one and a half keep-alives is missed: not before, and not much later', () => {
  const clients = [1, 2, 10, 60, 300, 65_535].map((seconds) => ({ seconds, client: guarded(seconds) }));
  pass(460_000);
  for (const { seconds, client } of clients) {
    if (seconds > 300) assert.equal(client.missedAt, null);
    else assert.ok(client.missedAt! >= seconds * 1_500 && client.missedAt! <= seconds * 1_500 + 1_000, String(seconds));
  }
});

test('a packet begins it anew', () => {
  const client = guarded(2);
  for (let n = 0; n < 20; n++) {
    pass(2_900);
    client.keepAlive.heard();
  }
  const heardAt = now;
  assert.equal(client.missedAt, null);
  pass(10_000);
  assert.ok(client.missedAt! >= heardAt + 3_000 && client.missedAt! <= heardAt + 4_000);
});

test('one that is stopped is not missed', () => {
  const client = guarded(1);
  const other = guarded(1);
  pass(1_000);
  client.keepAlive.stop();
  client.keepAlive.stop();
  pass(10_000);
  assert.equal(client.missedAt, null);
  assert.notEqual(other.missedAt, null);
});

test('the time in which the broker does not read does not count', () => {
  const client = guarded(10);
  pass(5_000);
  client.pauses.set('behind', true);
  pass(100_000);
  client.pauses.set('behind', false);
  pass(9_000);
  assert.equal(client.missedAt, null);
  pass(3_000);
  assert.ok(client.missedAt !== null, `${now} ms`);
});

test('pauses of others under load do not keep alive who is gone', () => {
  const client = guarded(4);
  for (let n = 0; n < 20; n++) {
    client.pauses.set('behind', true);
    pass(250);
    client.pauses.set('behind', false);
    pass(250);
  }
  assert.equal(client.missedAt, null);
  pass(2_500);
  assert.ok(client.missedAt !== null);
});

test('a slow client is there as long as it takes something, and gone once it takes nothing', () => {
  const client = guarded(2);
  client.pauses.set('unsent', true);
  for (let n = 0; n < 50; n++) {
    client.output.taken += 1;
    pass(1_000);
  }
  client.pauses.set('unsent', false);
  assert.equal(client.missedAt, null);
  client.pauses.set('unsent', true);
  pass(8_000);
  assert.ok(client.missedAt !== null);
});

test('what the client sent while this process stood still is read before it is judged', () => {
  const client = guarded(2);
  pass(1_000);
  stall(20_000);
  assert.equal(client.missedAt, null);
  pass(1_000);
  client.keepAlive.heard();
  assert.equal(client.missedAt, null);
});

test('the timer runs only while somebody is guarded', (t) => {
  const started = t.mock.method(globalThis, 'setInterval');
  const stopped = t.mock.method(globalThis, 'clearInterval');
  const [one, other] = [guarded(1), guarded(1)];
  assert.equal(started.mock.callCount(), 1);
  one.keepAlive.stop();
  assert.equal(stopped.mock.callCount(), 0);
  other.keepAlive.stop();
  assert.equal(stopped.mock.callCount(), 1);
});
