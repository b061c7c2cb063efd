/** Every program of examples/ is run as a user would run it, in an empty folder, and must say what the guide says that it says. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runExample } from './program.ts';

/** What each prints; `sorted` where several workers share the work in no order that could be told. */
const programs: Record<
  string,
  { readonly prints: readonly string[]; readonly sorted?: boolean; readonly tells?: RegExp }
> = {
  'work-queue': {
    prints: ['all tasks are safe', ...[1, 2, 3, 4, 5, 6].map((number) => `worker ?: photo-${number}.jpg`)],
    sorted: true,
  },
  'publish-subscribe': {
    prints: [
      'inventory: order 1, lamp',
      'inventory: order 2, bicycle',
      'shipping: order 1, lamp',
      'shipping: order 2, bicycle',
    ],
    sorted: true,
  },
  routing: {
    prints: [
      'archive (house.#): house.attic.temperature 24',
      'archive (house.#): house.cellar.freezer.temperature -18',
      'archive (house.#): house.cellar.temperature 9.5',
      'heating (house.*.temperature): house.attic.temperature 24',
      'heating (house.*.temperature): house.cellar.temperature 9.5',
    ],
    sorted: true,
  },
  'request-reply': {
    prints: ['lamp costs 400 cents', 'bicycle costs 700 cents', 'unicorn: REQUEST_FAILED: we do not sell unicorns'],
  },
  'retry-and-dead-letter': {
    prints: ['order 1 paid at attempt 3', 'dead: card has expired', 'sent back: 1', 'waiting again: 1'],
    tells:
      /^postrider: the handler of queue 'payments' failed at attempt [123] of a message \((?:retry|dead-letter)\): /,
  },
  delay: {
    prints: ['thank you for your order', 'your order was sent', 'your order arrives today'],
  },
  priority: {
    prints: ['reset your password', 'invoice', 'newsletter', 'another newsletter'],
  },
  'embedded-broker': {
    prints: [1, 2, 3].flatMap((id) => [`worker ?: order ${id}`, `shop: invoice for order ${id}`]),
    sorted: true,
  },
  sensors: {
    prints: [
      'service: site/7/temperature 21.5',
      'service: site/7/temperature 31',
      'sensor 7: site/7/command {"cooling":true}',
    ],
  },
  schema: {
    prints: [
      'order 1: lamp',
      "SCHEMA_MISMATCH: publish to queue 'checked-orders': the payload does not fit the schema: items: Too small: expected array to have >=1 items",
    ],
    sorted: true,
  },
};

describe('examples', { concurrency: 2 }, () => {
  for (const [name, { prints, sorted = false, tells }] of Object.entries(programs)) {
    test(`${name}.ts`, async () => {
      const { code, lines, stderr } = await runExample(`${name}.ts`);
      for (const line of stderr.split('\n').filter(Boolean)) assert.match(line, tells ?? /^$/);
      const printed = lines.map((line) => line.replace(/^worker(?: [AB])?:/, 'worker ?:'));
      assert.deepEqual(sorted ? printed.sort() : printed, sorted ? [...prints].sort() : prints);
      assert.equal(code, 0);
    });
  }
});
