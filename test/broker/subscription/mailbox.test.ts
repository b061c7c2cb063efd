import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Mailbox, mailboxText, type MailboxOwner } from '../../../src/broker/subscription/mailbox.ts';
import { queueKey, readQueueKey } from '../../../src/broker/topology-entry.ts';

const owners: readonly MailboxOwner[] = [
  { kind: 'client', user: 'alice', clientId: 'sensor/1' },
  { kind: 'client', user: '', clientId: '1:a2:bc' },
  { kind: 'group', share: 'g', filter: 'site/+/#' },
  { kind: 'group', share: '5:a', filter: '/' },
  { kind: 'delayed' },
];

test('a mailbox is told by its key', () => {
  for (const owner of owners) {
    const mailbox = new Mailbox('shop', owner, true);
    const { vhost, name, owned, mailbox: is } = readQueueKey(mailbox.key);
    assert.deepEqual([vhost, owned, is], ['shop', false, true]);
    assert.equal(`${mailboxText(name)} in vhost 'shop'`, mailbox.resource);
    assert.notEqual(mailbox.key, queueKey('shop', mailbox.name));
  }
  assert.equal(new Set(owners.map((owner) => new Mailbox('/', owner, true).key)).size, owners.length);
  assert.equal(readQueueKey(queueKey('/', 'mailbox:x')).mailbox, false);
});
