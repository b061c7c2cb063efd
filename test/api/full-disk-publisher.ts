/** A program that waits for a publish to a full disk, and has nothing else to do. */
import { EmbeddedLink } from '../../src/api/embedded/embedded-link.ts';
import { EmbeddedMq } from '../../src/api/embedded-mq.ts';
import { openLocal } from '../../src/engine/local/index.ts';
import { small } from '../engine/local/crashing.ts';
import { FullDisk } from '../engine/local/journal/full-disks.ts';

const files = new FullDisk();
const mq = new EmbeddedMq(() => undefined);
await mq.begin(async (events) =>
  EmbeddedLink.open(openLocal(process.argv[2]!, { ...small, files }), events, () => undefined),
);
const queue = await mq.queue<string>('orders');
files.full = true;
// More than what is there already.
const publishing = queue.publishAll(Array.from({ length: 100 }, () => 'x'.repeat(10_000)));
setTimeout(() => (files.full = false), 700).unref();
await publishing;
console.log('stored', (await queue.stats()).ready);
await mq.close();
