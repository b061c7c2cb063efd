import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BodySlab } from '../../src/api/body-slab.ts';
import type { Delivery } from '../../src/api/link.ts';
import { Message } from '../../src/api/message.ts';

/** Keeps each text in turn. */
function keep(slab: BodySlab, texts: readonly string[]): Message[] {
  return texts.map((text) => {
    const body = Buffer.from(`before${text}behind`);
    const delivery: Delivery = {
      tag: 1,
      body,
      bodyStart: 6,
      bodyEnd: body.length - 6,
      properties: {},
      exchange: '',
      routingKey: 'q',
      redelivered: false,
      deliveryCount: 0,
    };
    const message = new Message(null, 'q', null, delivery, 'words');
    slab.keep(message, delivery);
    return message;
  });
}

describe('bodies that are kept', () => {
  const cases: Record<string, readonly string[]> = {
    'ASCII, more of it than a slab has room for': Array.from(
      { length: 3_000 },
      (_, n) => `text ${n} ${'.'.repeat(n % 97)}`,
    ),
    'of several bytes a character': ['ä', 'ordinary', '€uro', '😀', 'ordinary', '\u00ff'],
    'of several bytes a character far behind': [...Array.from({ length: 20 }, (_, n) => `text ${n}`), 'ä', 'behind'],
    empty: ['', '', 'a', '', 'b', ''],
    'longer than a slab keeps': ['a', 'b'.repeat(5_000), 'c', 'ä'.repeat(70_000), 'd'],
  };
  for (const [what, texts] of Object.entries(cases)) {
    it(`are the texts that they were: ${what}`, () => {
      const slab = new BodySlab();
      const messages = keep(slab, texts);
      assert.deepEqual(
        messages.map((message) => slab.textOf(message)),
        texts,
      );
      assert.deepEqual(
        messages.map((message) => message.bytes.toString()),
        texts,
      );
      assert.deepEqual(
        messages.toReversed().map((message) => slab.textOf(message)),
        texts.toReversed(),
      );
    });
  }

  it('are read while others come', () => {
    const slab = new BodySlab();
    const texts: string[] = [];
    const read: string[] = [];
    const waiting: Message[] = [];
    for (let round = 0; round < 500; round++) {
      const come = Array.from({ length: 1 + (round % 7) }, (_, n) => `${round % 13 === 0 ? 'ö' : 'o'} ${round} ${n}`);
      texts.push(...come);
      waiting.push(...keep(slab, come));
      for (const message of waiting.splice(0, 4)) read.push(slab.textOf(message));
    }
    for (const message of waiting) read.push(slab.textOf(message));
    assert.deepEqual(read, texts);
  });
});
