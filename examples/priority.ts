// A queue with priorities: what is urgent overtakes what waits. Within a priority the order stays.
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'postrider';

interface Mail {
  subject: string;
}

const mq = await connect('file:./data');
const mails = await mq.queue<Mail>('mails', { priorities: 2 }); // 0, 1 and 2
let open = 4;

await mails.publish({ subject: 'newsletter' });
await mails.publish({ subject: 'invoice' }, { priority: 1 });
await mails.publish({ subject: 'reset your password' }, { priority: 2 });
await mails.publish({ subject: 'another newsletter' });

await mails.consume(({ subject }) => {
  console.log(subject);
  open -= 1;
});

while (open > 0) await sleep(10);
await mq.close();
