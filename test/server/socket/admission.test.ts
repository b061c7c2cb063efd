import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { test } from 'node:test';
import { Admission } from '../../../src/server/socket/admission.ts';

class Client {
  isCut = false;

  cut(): void {
    this.isCut = true;
  }
}

function clients(count: number): Client[] {
  return Array.from({ length: count }, () => new Client());
}

test('listeners that share it have the same places, and it is told once in a while who is refused', (t) => {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const lines: string[] = [];
  const admission = new Admission({ maxConnections: 3, maxHandshakes: 10 }, (line) => void lines.push(line));
  const all = clients(3);
  for (const client of all) {
    assert.ok(admission.admit('amqp'));
    admission.connected(client);
    admission.loggedIn(client);
  }
  for (const protocol of ['mqtt', 'amqp', 'ws']) assert.equal(admission.admit(protocol), false);
  now += 10_000;
  assert.equal(admission.admit('ws'), false);
  assert.deepEqual(lines, ['mqtt: connections are refused: 3 are open', 'ws: connections are refused: 3 are open']);
  admission.disconnected(all[0]!);
  assert.ok(admission.admit('mqtt'));
  assert.ok(all.every(({ isCut }) => !isCut));
});

test('a quarter may be at what comes before their login; the one that waits longest gives way, after its second', (t) => {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const lines: string[] = [];
  const admission = new Admission({ maxConnections: 8, maxHandshakes: 100 }, (line) => void lines.push(line));
  const [atTls, connected] = clients(2) as [Client, Client];
  admission.entered(atTls);
  now += 500;
  admission.connected(connected);
  assert.equal(admission.admit('mqtt'), false);
  assert.deepEqual(lines, ['mqtt: connections are refused: too many are at their handshake']);
  now += 600;
  assert.ok(admission.admit('mqtt'));
  assert.deepEqual([atTls.isCut, connected.isCut], [true, false]);
  admission.left(atTls);
  admission.loggedIn(connected);
  admission.entered(new Client());
  assert.ok(admission.admit('mqtt'));
});
