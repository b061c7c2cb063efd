/**
 * The order service: places orders at its own pace, with publisher confirms. An order whose answer never came is unknown,
 * not failed: it is sent again under the same identity, as its next attempt, until the broker confirms it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { AMQPError } from 'rabbitmq-client';
import { bodyHash } from '../verify/body-hash.ts';
import { FileRecorder } from '../verify/file-recorder.ts';
import { messageId } from '../verify/history.ts';
import { part, play, tell, type OrdersReport, type Told } from './role.ts';
import { connectTo, exchangeOf, order, queueOf, services, topology } from './store.ts';

export interface OrderServicePart {
  readonly url: string;
  readonly prefix: string;
  readonly historyDirectory: string;
  readonly orders: number;
  readonly perSecond: number;
}

const tickMs = 10;
/** An answer that takes longer does not come any more. */
const answerMs = 10_000;
const retryMs = 100;
/** Orders that may wait for the broker before the shop takes no more for a moment. */
const maxOpen = 20_000;

const { url, prefix, historyDirectory, orders, perSecond } = part<OrderServicePart>();
const name = 'order-service';
const route = services.map((service) => queueOf(prefix, service));
const recorder = FileRecorder.in(historyDirectory, name);
const connection = connectTo(url, name);
const publisher = connection.createPublisher({ confirm: true, ...topology(prefix) });

let placed = 0;
let confirmed = 0;
let unknown = 0;
let rejected = 0;
let rushing = false;

function report(): OrdersReport {
  const open = placed - confirmed;
  return {
    placed,
    confirmed,
    unknown,
    rejected,
    open,
    done: confirmed === orders,
    offline: !connection.ready,
    rushing,
  };
}

/** Sends the order until it is confirmed. */
async function place(number: number): Promise<void> {
  const id = messageId(name, 1, number);
  const body = Buffer.from(JSON.stringify(order(number)));
  const hash = bodyHash(body);
  const envelope = {
    exchange: exchangeOf(prefix),
    messageId: id,
    durable: true,
    contentType: 'application/vnd.store.order+json',
  };
  for (let attempt = 1; ; attempt++) {
    recorder.publish(id, attempt, hash, route);
    try {
      await answered(publisher.send({ ...envelope, headers: { attempt } }, body));
      recorder.confirmed(id, attempt);
      confirmed++;
      return;
    } catch (error) {
      if (error instanceof AMQPError && error.code === 'NACK') {
        recorder.rejected(id, attempt);
        rejected++;
      } else {
        recorder.unknown(id, attempt);
        unknown++;
        console.error(`${id} attempt ${attempt}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    await sleep(retryMs);
  }
}

async function answered(sent: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${answerMs} ms`)), answerMs);
  });
  try {
    await Promise.race([sent, late]);
  } finally {
    clearTimeout(timer);
  }
}

function placeMany(count: number): void {
  for (const last = Math.min(orders, placed + count); placed < last;) void place(++placed);
}

/** A sale begins: many orders at once, in handfuls, so that the first are answered while the last are written. */
async function rush(count: number): Promise<void> {
  for (let sent = 0; sent < count; sent += 50) {
    placeMany(50);
    await new Promise(setImmediate);
    if (!rushing && sent >= count / 4) {
      rushing = true;
      tell(report());
    }
  }
  rushing = false;
}

async function told(message: Told): Promise<void> {
  if (message.do === 'rush') {
    await rush(message.count);
  } else {
    recorder.close();
    await publisher.close();
    await connection.close();
    process.exit(0);
  }
}

play(report, (message) => void told(message));

await connection.onConnect();
let last = performance.now();
let due = 0;
while (placed < orders) {
  const now = performance.now();
  due += ((now - last) / 1000) * perSecond;
  last = now;
  if (placed - confirmed < maxOpen) placeMany(Math.floor(due));
  due -= Math.floor(due);
  await sleep(tickMs);
}
