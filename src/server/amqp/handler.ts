import type { Channel } from './channel.ts';
import type { Arguments, Layout, Method } from '../../wire/amqp/method.ts';

/**
 * Handles one method of a channel. A promise keeps the channel's later frames back until it settles; those of methods in `overlapping`
 * (handlers.ts) go on meanwhile, so such a method has taken effect when its handler returns, and is answered `inTurn`.
 */
export type Handler = (channel: Channel, bytes: Buffer, start: number, end: number) => Promise<void> | undefined;

export type HandlerEntry = readonly [number, Handler];

/** A handler that gets the method's arguments read. */
export function handler<L extends Layout>(
  method: Method<L>,
  handle: (channel: Channel, args: Arguments<L>) => Promise<void> | undefined,
): HandlerEntry {
  return [method.id, (channel, bytes, start, end) => handle(channel, method.read(bytes, start, end))];
}

/** Sends a method to the client, unless its channel died meanwhile. */
export function reply<L extends Layout>(channel: Channel, method: Method<L>, args: Arguments<L>): void {
  if (channel.open) channel.connection.output.writeFrame(method.frame(channel.number, args));
}

/** Answers a method when what it asked for is done, and the methods before it that overlap were answered. */
export async function inTurn<T>(channel: Channel, asked: Promise<T>, answer: (result: T) => void): Promise<void> {
  const before = channel.answered;
  let result: T;
  try {
    result = await asked;
  } finally {
    await before;
  }
  answer(result);
}
