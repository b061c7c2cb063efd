/**
 * The floor of the API's rows: the least that publishing orders durably and handling them can cost in Node on this machine. JSON,
 * one write and one sync for all that came meanwhile, a promise for each publish and each handler; no queue, no routing,
 * nothing that could be read again after a crash.
 */
import { fdatasync, write } from 'node:fs';
import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { Order, OrderQueue } from './orders.ts';

/** More than all orders that are awaited at a time take. */
const GROUP_BYTES = 1024 * 1024;

interface Publish {
  readonly text: string;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** @param path of the file that they are written to */
export async function openBare(path: string): Promise<OrderQueue> {
  const file = await open(path, 'w');
  const group = Buffer.allocUnsafeSlow(GROUP_BYTES);
  let publishes: Publish[] = [];
  let writing = false;
  let handler: (order: Order) => Promise<void> = async () => undefined;

  const flush = (): void => {
    if (writing || publishes.length === 0) return;
    writing = true;
    const written = publishes;
    publishes = [];
    const ends: number[] = [];
    let end = 0;
    for (const { text } of written) {
      end += group.write(text, end);
      ends.push(end);
    }
    group.writeUInt32LE(crc32(group.subarray(0, end)), end);
    const stored = (error: Error | null): void => {
      writing = false;
      if (error !== null) {
        for (const { reject } of written) reject(error);
        return;
      }
      let start = 0;
      for (const [index, { resolve }] of written.entries()) {
        const order = JSON.parse(group.toString('utf8', start, ends[index])) as Order;
        start = ends[index]!;
        resolve();
        void handler(order);
      }
      setImmediate(flush);
    };
    write(file.fd, group, 0, end + 4, null, (error) => (error === null ? fdatasync(file.fd, stored) : stored(error)));
  };

  return {
    publish: (order) =>
      new Promise((resolve, reject) => {
        publishes.push({ text: JSON.stringify(order), resolve: () => resolve(undefined), reject });
        if (!writing && publishes.length === 1) process.nextTick(flush);
      }),
    consume: async (handle) => {
      handler = handle;
    },
    close: () => file.close(),
  };
}
