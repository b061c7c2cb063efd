import { ConnectionError } from '../../wire/amqp/amqp-error.ts';
import type { Channel } from './channel.ts';

/** The channels of one connection. */
export class ChannelTable {
  /** Hot: by number; 0 is never there. */
  readonly byNumber: (Channel | undefined)[] = [];
  /** Highest number, and how many there may be: agreed on in the handshake. */
  max = 0;
  #count = 0;

  /** Whether a channel of this number may be opened. @throws ConnectionError NOT_ALLOWED */
  check(number: number): void {
    const { max } = this;
    if (number > max) {
      const text = `channel number ${number} is beyond the negotiated channel_max (${max})`;
      throw new ConnectionError('NOT_ALLOWED', text);
    }
    if (this.#count < max) return;
    const text = `number of channels opened (${this.#count}) has reached the negotiated channel_max (${max})`;
    throw new ConnectionError('NOT_ALLOWED', text);
  }

  add(channel: Channel): void {
    this.#count++;
    while (this.byNumber.length < channel.number) this.byNumber.push(undefined);
    this.byNumber[channel.number] = channel;
  }

  remove(channel: Channel): void {
    if (this.byNumber[channel.number] !== channel) return;
    this.byNumber[channel.number] = undefined;
    this.#count--;
  }

  all(): Channel[] {
    return this.byNumber.filter((channel) => channel !== undefined);
  }
}
