import type { Broker } from './broker.ts';
import { LoadConnection } from './connection.ts';
import { monotonicMs } from './load.ts';
import type { Timing } from './load-sides.ts';
import { freshName } from './loads.ts';
import { declareQueue, deleteQueue, inBatches } from './topology.ts';

const atOnce = 100;
/** Enough to measure any broker; more would only have to be deleted again. */
const maxQueues = 20_000;

/** Durable queues declared a second, 100 under way on one channel. Half of them may be spent warming up. */
export async function declareRate(broker: Broker, timing: Timing): Promise<number> {
  const connection = await LoadConnection.open(broker.address);
  const prefix = freshName('declare');
  const names: string[] = [];
  const declareFor = async (ms: number, most: number): Promise<number> => {
    const [startedMs, first] = [monotonicMs(), names.length];
    const runner = async (): Promise<void> => {
      while (monotonicMs() - startedMs < ms && names.length - first < most) {
        const name = `${prefix}-${names.length}`;
        names.push(name);
        await declareQueue(connection, name);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, runner));
    return (names.length - first) / ((monotonicMs() - startedMs) / 1000);
  };
  try {
    await declareFor(timing.warmupMs / 2, maxQueues / 10);
    return await declareFor(timing.measuredMs, maxQueues);
  } finally {
    await inBatches(names, atOnce, (name) => deleteQueue(connection, name)).catch(() => undefined);
    await connection.close();
  }
}
