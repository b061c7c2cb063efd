import type { Mailbox } from './mailbox.ts';
import type { Subscription } from './subscription.ts';

/** Those who share what matches a filter: each message is for one of them. It comes with its first member and goes with its last. */
export class SharedGroup {
  readonly name: string;
  readonly filter: string;
  /** Its members that are connected consume it (`Session.consumeMailbox`). */
  readonly queue: Mailbox;
  readonly members = new Set<Subscription>();

  constructor(name: string, filter: string, queue: Mailbox) {
    this.name = name;
    this.filter = filter;
    this.queue = queue;
  }
}
