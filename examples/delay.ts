// A message that is to be handled later: it is on disk at once, and delivered when its time has come, also after a restart.
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'postrider';

interface Reminder {
  text: string;
}

const mq = await connect('file:./data');
const reminders = await mq.queue<Reminder>('reminders');
let open = 3;

await reminders.publish({ text: 'your order arrives today' }, { delayMs: 150 });
await reminders.publish({ text: 'your order was sent' }, { delayMs: 75 });
await reminders.publish({ text: 'thank you for your order' });

await reminders.consume(({ text }) => {
  console.log(text);
  open -= 1;
});

while (open > 0) await sleep(10);
await mq.close();
