/**
 * What other people's clients talk to: a Postrider in this process, or, to learn what another broker does with the same
 * conversation, the one that POSTRIDER_INTEROP_URL names (amqp://guest:guest@127.0.0.1:5672).
 */
import { after } from 'node:test';
import { Broker } from '../../src/broker/index.ts';
import { memoryEngine } from '../../src/engine/local/index.ts';
import { AmqpServer } from '../../src/server/amqp/index.ts';

export interface Target {
  readonly url: string;
  readonly port: number;
  /** Lines that a broker must never log, whatever a client does. */
  bugs(): string[];
}

/** To be called outside of any test. */
export async function target(): Promise<Target> {
  const other = process.env['POSTRIDER_INTEROP_URL'];
  if (other !== undefined) return { url: other, port: Number(new URL(other).port), bugs: () => [] };
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const broker = new Broker({ engine: memoryEngine(), log });
  await broker.open();
  const server = new AmqpServer({ broker, version: '0.0.1', log });
  const { port } = await server.listen('127.0.0.1', 0);
  after(async () => {
    await server.close('test over', 500);
    await broker.close();
  });
  const bugs = (): string[] => lines.filter((line) => /INTERNAL_ERROR|FRAME_ERROR|SYNTAX_ERROR/.test(line));
  return { url: `amqp://guest:guest@127.0.0.1:${port}`, port, bugs };
}

/** Names that no other run on the same broker uses. */
export function unique(name: string): string {
  return `${name}-${process.pid}-${Math.random().toString(36).slice(2, 8)}`;
}
