/**
 * The web shop of `postrider demo --embedded`: the broker is inside it. It publishes each order to a topic, the services outside
 * connect over AMQP. When it was killed it knows its open orders from its own history, as a shop does from its database.
 */
import { connect, PostriderError } from '../../index.ts';
import { FileRecorder } from '../../verify/file-recorder.ts';
import { ordersBefore } from '../orders-before.ts';
import { part, play, tell, type OrdersPart, type OrdersReport, type Told } from '../role.ts';
import { services, type Order } from '../store.ts';
import { Till } from '../till.ts';

export interface ShopPart extends OrdersPart {
  /** A directory, or `memory:`. */
  readonly data: string;
  /** 0: any free port. */
  readonly port: number;
  /** It takes orders at once, without being told. */
  readonly open: boolean;
}

export interface ShopReport extends OrdersReport {
  /** Where its broker listens; 0: not yet. */
  readonly port: number;
}

const { data, port, open, historyDirectory, orders, perSecond } = part<ShopPart>();
const name = 'shop';
const before = ordersBefore(historyDirectory, name);
const recorder = FileRecorder.in(historyDirectory, name);

const mq = await connect(data === 'memory:' ? data : `file:${data}`, { log: (line) => console.error(line) });
const placed = mq.topic<Order>('orders');
for (const service of services) await placed.subscribe(service);
const { amqp } = await mq.listen({ amqp: { port } });

const till = new Till({
  name,
  recorder,
  orders,
  perSecond,
  route: services,
  send: ({ id, order, number }) => placed.publish(order, { id, headers: { attempt: number } }),
  isRefusal: (error) => error instanceof PostriderError && error.code !== 'UNKNOWN_OUTCOME',
  isOffline: () => mq.closed,
  // Each takes no longer than a sync of the disk, so the sale must not be over before anybody can strike.
  sale: { atOnce: 1, oneByOne: true },
  before,
});

async function told(message: Told): Promise<void> {
  if (message.do === 'rush') {
    await till.rush(message.count);
  } else if (message.do === 'open') {
    await till.run();
  } else {
    recorder.close();
    await mq.close();
    process.exit(0);
  }
}

const report = (): ShopReport => ({ ...till.report(), port: amqp?.port ?? 0 });
play(report, (message) => void told(message));
tell(report());
if (open) await till.run();
