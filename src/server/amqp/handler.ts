import type { Channel } from './channel.ts';
import type { Arguments, Layout, Method } from '../../wire/amqp/method.ts';

/** Handles one method of a channel. A promise keeps the channel's later frames back until it settles. */
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
