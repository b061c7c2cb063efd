/** What becomes of a shared subscription's message of QoS 2 that can't become its member's own. */
import { test } from 'node:test';
import type { Batch } from '../../../src/broker/index.ts';
import { startTarget } from './broker.ts';
import { MqttClient } from './client.ts';

const target = await startTarget();

test('a message that finds no room in its mailbox stays in that of the shared subscription', async (t) => {
  if (target.own === null) return;
  const { broker } = target.own;
  const member = new MqttClient(target.port, 5, 'member');
  await member.connect({ durable: true });
  await member.subscribe('$share/group/shared', { qos: 2 });
  const publisher = new MqttClient(target.port, 5, 'publisher');
  await publisher.connect();
  await publisher.publish('shared', 'first', { qos: 2 });
  await member.message('first');
  // From the second append on, which is the member's: the disk is full for a while.
  let appends = 0;
  const begin = broker.begin.bind(broker);
  const full = t.mock.method(broker, 'begin', (atomic?: 'required' | 'idempotent', tellsWaiting?: boolean): Batch => {
    const batch = begin(atomic, tellsWaiting);
    return fullAfter(batch, atomic !== undefined, () => ++appends > 1);
  });
  await publisher.publish('shared', 'second', { qos: 2 });
  while (appends < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  full.mock.restore();
  await member.message('second');
  await member.quiet();
  member.drop();
  publisher.drop();
});

/** As the engine refuses: an append alone, or the whole of an atomic batch. */
function fullAfter(batch: Batch, isAtomic: boolean, isFull: () => boolean): Batch {
  let items = 0;
  let refused = -1;
  const todo: (() => void)[] = [];
  return {
    append: (targets, message) => {
      if (isFull()) refused = items;
      else batch.append(targets, message);
      items++;
    },
    settle: (...given) => {
      items++;
      todo.push(() => batch.settle(...given));
    },
    put: (...given) => {
      items++;
      todo.push(() => batch.put(...given));
    },
    together: () => batch.together(),
    commit: (receiver, token) => {
      if (refused < 0 || !isAtomic) for (const each of todo) each();
      batch.commit(
        {
          committed: (_, outcomes) =>
            receiver.committed(token, refused < 0 ? outcomes : [{ item: refused, outcome: 'refused', reason: 'full' }]),
          failed: (_, error) => receiver.failed(token, error),
        },
        null,
      );
    },
  };
}
