import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Mailbox } from '../../src/broker/subscription/mailbox.ts';
import { renderInspection } from '../../src/cli/inspection.ts';
import { paintFor } from '../../src/cli/terminal.ts';
import type { JournalInspection } from '../../src/engine/local/journal/inspect.ts';
import { Sheet } from './sheet.ts';

const whole: JournalInspection = {
  directory: './data',
  version: 1,
  segments: [
    { file: '0000000001.seg', bytes: 67_108_864, groups: 1234, firstSequence: 1, lastSequence: 1234, live: 56 },
    { file: '0000000002.seg', bytes: 512, groups: 0, firstSequence: 0, lastSequence: 0, live: 0 },
  ],
  checkpoints: [{ file: '0000001000.checkpoint', sequence: 1000, valid: true, what: null }],
  queues: [
    { key: '1:/6:orders', durable: true, ready: 12_345, bytes: 2048, delayed: 0 },
    { key: '4:shop5:carts', durable: false, ready: 7, bytes: 10, delayed: 1_500 },
  ],
  damage: [],
  tornTail: null,
  spares: [],
  refusal: null,
};

function render(report: JournalInspection): string {
  return renderInspection(report, paintFor(new Sheet(false))).join('\n');
}

describe('inspect, for a person', () => {
  it('tells segments, checkpoints and queues', () => {
    const text = render(whole);
    assert.match(text, /^\.\/data: journal of format 1, 64\.0 MiB in 2 segments/);
    assert.match(text, /0000000001\.seg +64\.0 MiB +1,234 groups +1-1234 +56 alive/);
    assert.match(text, /0000001000\.checkpoint +up to group 1000 +whole/);
    assert.match(text, /queues \(2\), 12,352 messages ready, 1,500 delayed/);
    assert.match(text, /orders +12,345 ready +2\.0 KiB +durable/);
    assert.match(text, /carts \(vhost shop\) +7 ready +10 B +1,500 delayed +transient/);
    assert.match(text, /no damage$/);
  });

  it('tells whose mailbox a queue without a name is', () => {
    const of = { kind: 'client', user: 'alice', clientId: 'c1' } as const;
    const { key } = new Mailbox('shop', of, true);
    const text = render({ ...whole, queues: [{ key, durable: true, ready: 1, bytes: 1, delayed: 0 }] });
    assert.match(text, /mailbox of client 'c1' of user 'alice' \(vhost shop\) +1 ready/);
  });

  it('gives the terminal no control characters that a client put into a name', () => {
    const key = '1:/9:\u001b]0;x\u0007\r\n';
    const text = render({ ...whole, queues: [{ key, durable: true, ready: 1, bytes: 1, delayed: 0 }] });
    assert.match(text, /\\x1b\]0;x\\x07\\r\\n +1 ready/);
    assert.doesNotMatch(text.replaceAll('\n', ''), /\p{Cc}/u);
  });

  it('names damage by file and bytes', () => {
    const text = render({ ...whole, damage: [{ file: '0000000001.seg', from: 4096, to: 8192, what: 'checksum' }] });
    assert.match(text, /damage: 0000000001\.seg bytes 4096-8192: checksum/);
    assert.doesNotMatch(text, /no damage/);
  });

  it('tells a torn tail from damage', () => {
    const text = render({ ...whole, tornTail: { file: '0000000002.seg', at: 100 } });
    assert.match(text, /torn tail: 0000000002\.seg from byte 100/);
    assert.match(text, /no damage/);
  });

  it('says why the journal cannot be opened', () => {
    assert.match(render({ ...whole, refusal: 'group 7 is missing' }), /serve can't open it: group 7 is missing/);
  });

  it('shows the longest of many queues, and how many more there are', () => {
    const queues = Array.from({ length: 100 }, (_, index) => ({
      key: `1:/3:q${index}`,
      durable: true,
      ready: index,
      bytes: 0,
      delayed: 0,
    }));
    const text = render({ ...whole, queues });
    assert.match(text, /q99 /);
    assert.doesNotMatch(text, /q1 /);
    assert.match(text, /and 60 shorter ones/);
  });
});
