// Topics are words parted by dots; a subscription may name a pattern: * stands for one word, # for any number of them.
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'postrider';

interface Reading {
  celsius: number;
}

const mq = await connect('file:./data');
let open = 5;

async function subscribe(name: string, pattern: string): Promise<void> {
  const subscription = await mq.topic<Reading>(pattern).subscribe(name);
  await subscription.consume((reading, message) => {
    console.log(`${name} (${pattern}): ${message.topic} ${reading.celsius}`);
    open -= 1;
  });
}
await subscribe('heating', 'house.*.temperature');
await subscribe('archive', 'house.#');

await mq.topic<Reading>('house.attic.temperature').publish({ celsius: 24 });
await mq.topic<Reading>('house.cellar.temperature').publish({ celsius: 9.5 });
await mq.topic<Reading>('house.cellar.freezer.temperature').publish({ celsius: -18 });

while (open > 0) await sleep(10);
await mq.close();
