// Tasks that several workers share: each task goes to one of them, and comes again if that one dies before it is done.
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'postrider';

interface Photo {
  file: string;
}

const mq = await connect('file:./data');
const queue = await mq.queue<Photo>('thumbnails');
let open = 6;

for (const worker of ['worker A', 'worker B']) {
  // A handler that ends acknowledges its message; one that throws gets it again, a little later.
  await queue.consume(async (photo) => {
    await sleep(10);
    console.log(`${worker}: ${photo.file}`);
    open -= 1;
  });
}

const photos = [1, 2, 3, 4, 5, 6].map((number) => ({ file: `photo-${number}.jpg` }));
await queue.publishAll(photos); // resolves once all six are on disk
console.log('all tasks are safe');

while (open > 0) await sleep(10);
await mq.close(); // waits for handlers that still run
