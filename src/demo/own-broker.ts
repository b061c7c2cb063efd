/** The broker that the demo runs, and kills: a process of its own, or the shop that has it inside. */
export interface OwnBroker {
  /** Who dies, as the story calls it. */
  readonly name: 'broker' | 'shop';
  readonly url: string;
  readonly port: number;
  /** 0: it does not run. */
  readonly pid: number;
  /** Resolves once it listens, with the milliseconds that took. A restart keeps the port. @throws Error with its last words when it does not */
  start(): Promise<number>;
  /** Ends it without a warning; resolves when it is gone. */
  kill(): Promise<void>;
  /** Ends it in order; resolves with its exit code, null if a signal ended it. */
  stop(): Promise<number | null>;
}
