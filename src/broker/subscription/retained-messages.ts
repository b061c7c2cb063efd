/**
 * The retained messages of one vhost: a topic's last message that was published to be retained, for those who subscribe later. All are in
 * memory, and durable as keyed state `retained/<vhost, topic>`, one key each, which is written in the batch of the publish itself.
 */
import type { Timer } from '../../engine/clock.ts';
import type { Batch, CommitReceiver, KeyedValue, MessageView } from '../../engine/engine.ts';
import { FormatError } from '../../format/format-error.ts';
import { joinKey } from '../binding.ts';
import type { BrokerContext } from '../context.ts';
import { splitKey } from './mailbox.ts';
import { type Publisher, RetainedMessage } from './retained-message.ts';
import { RetainedTopics } from './retained-topics.ts';

export const retainedPrefix = 'retained/';

/** About what one takes in memory beside its bytes and its topic, and what each level of its topic does. */
const baseBytes = 600;
const levelBytes = 200;
/** How often messages that have expired are looked for. */
const sweepMs = 60_000;
/** The same where there is no room for another. */
const shortestSweepMs = 1_000;

export class RetainedMessages implements CommitReceiver<null> {
  readonly #vhost: string;
  readonly #context: BrokerContext;
  readonly #topics = new RetainedTopics();
  #bytes = 0;
  /** With a time to expire. */
  #mortal = 0;
  #sweep: Timer | null = null;
  #sweptAt = -Infinity;
  /** Topics of messages that have expired, whose keys are still to go. */
  readonly #over = new Set<string>();

  constructor(vhost: string, context: BrokerContext) {
    this.#vhost = vhost;
    this.#context = context;
  }

  get count(): number {
    return this.#topics.size;
  }

  /** About how much memory they take. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Retains a message that is ready to be published, in place of the topic's last; one without a body only takes that away. It is there
   * at once, and durable with the batch, which must not be one that is refused as a whole. False: there are too many.
   */
  put(batch: Batch, topic: string, message: MessageView, publisher: Publisher): boolean {
    const before = this.#topics.get(topic);
    if (message.bodyStart === message.bodyEnd) {
      if (before === null) return true;
      this.#remove(before);
      batch.put(this.#key(topic), null);
      return true;
    }
    const value = RetainedMessage.encode(message, publisher, this.#context.clock.now());
    if (!this.#hasRoom(topic, value, before)) return false;
    batch.put(this.#key(topic), value);
    this.#add(new RetainedMessage(topic, value));
    return true;
  }

  /** The topic's own, but for one that has expired. */
  get(topic: string): RetainedMessage | null {
    const message = this.#topics.get(topic);
    if (message === null || !message.isOver(this.#context.clock.now())) return message;
    this.#expire(message);
    return null;
  }

  /** Those whose topics the filter matches and that have not expired, found step by step: they may change meanwhile. */
  *matching(filter: string): Generator<RetainedMessage> {
    for (const message of this.search(filter)) if (message !== null) yield message;
  }

  /** The same; null where nothing was found for a while, and whoever searches may let others go first. */
  *search(filter: string): Generator<RetainedMessage | null> {
    const { clock } = this.#context;
    for (const message of this.#topics.search(filter)) {
      if (message?.isOver(clock.now()) === true) this.#expire(message);
      else yield message;
    }
  }

  /** Broker's own: one that a start found. @throws FormatError */
  restore(topic: string, value: Uint8Array): void {
    this.#add(new RetainedMessage(topic, value));
  }

  /** The vhost is deleted. */
  removeAll(): void {
    this.stop();
    const batch = this.#context.engine.begin();
    for (const { topic } of this.#topics) this.#over.add(topic);
    for (const topic of this.#over) {
      const message = this.#topics.get(topic);
      if (message !== null) this.#remove(message);
      batch.put(this.#key(topic), null);
    }
    this.#over.clear();
    batch.commit(this, null);
  }

  /** Ends its timer. */
  stop(): void {
    this.#sweep?.cancel();
    this.#sweep = null;
  }

  committed(): void {
    // What it took away was out of sight already.
  }

  failed(): void {
    // The engine has ended. They expire again after the next start.
  }

  #key(topic: string): string {
    return retainedKey(this.#vhost, topic);
  }

  #hasRoom(topic: string, value: Buffer, before: RetainedMessage | null): boolean {
    const { maxRetained, maxRetainedBytes } = this.#context.settings;
    const grows = memoryBytes(topic, value.length) - (before === null ? 0 : bytesOf(before));
    const isRoom = (): boolean =>
      (before !== null || this.count < maxRetained) && (grows <= 0 || this.#bytes + grows <= maxRetainedBytes);
    if (isRoom()) return true;
    if (this.#mortal === 0 || this.#context.clock.now() - this.#sweptAt < shortestSweepMs) return false;
    this.#expireAll(topic);
    return isRoom();
  }

  #add(message: RetainedMessage): void {
    const before = this.#topics.get(message.topic);
    if (before !== null) this.#forget(before);
    this.#topics.set(message);
    this.#bytes += bytesOf(message);
    if (message.expiresAt === 0) return;
    this.#mortal += 1;
    this.#sweep ??= this.#context.clock.after(sweepMs, () => this.#swept());
  }

  #remove(message: RetainedMessage): void {
    this.#topics.delete(message.topic);
    this.#forget(message);
  }

  #forget(message: RetainedMessage): void {
    this.#bytes -= bytesOf(message);
    if (message.expiresAt > 0) this.#mortal -= 1;
  }

  #expire(message: RetainedMessage): void {
    this.#remove(message);
    // A batch may be open now.
    if (this.#over.size === 0) queueMicrotask(() => this.#removeOver());
    this.#over.add(message.topic);
  }

  #removeOver(): void {
    if (this.#over.size === 0) return;
    const batch = this.#context.engine.begin();
    for (const topic of this.#over) {
      // The topic may have another by now.
      if (!this.#topics.has(topic)) batch.put(this.#key(topic), null);
    }
    this.#over.clear();
    batch.commit(this, null);
  }

  #swept(): void {
    this.#sweep = null;
    this.#expireAll();
    if (this.#mortal > 0) this.#sweep = this.#context.clock.after(sweepMs, () => this.#swept());
  }

  /** But for that of the topic `except`, which is being replaced. */
  #expireAll(except: string | null = null): void {
    const nowMs = this.#context.clock.now();
    this.#sweptAt = nowMs;
    for (const message of this.#topics) if (message.isOver(nowMs) && message.topic !== except) this.#expire(message);
  }
}

export function retainedKey(vhost: string, topic: string): string {
  return retainedPrefix + joinKey([vhost, topic]);
}

/** What a start finds in keyed state. Answers the keys that have to go: of vhosts that are gone. */
export function restoreRetained(
  vhosts: ReadonlyMap<string, { readonly retained: RetainedMessages }>,
  found: readonly KeyedValue[],
  log: (line: string) => void,
): string[] {
  const orphans: string[] = [];
  for (const { key, value } of found) {
    const [vhost = '', topic = ''] = splitKey(key, retainedPrefix.length);
    const retained = vhosts.get(vhost)?.retained;
    if (retained === undefined) {
      orphans.push(key);
      continue;
    }
    try {
      retained.restore(topic, value);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      log(`the retained message of topic '${topic}' in vhost '${vhost}' can't be read, and is not sent`);
    }
  }
  return orphans;
}

function bytesOf({ topic, bytes }: RetainedMessage): number {
  return memoryBytes(topic, bytes.length);
}

/** The engine keeps its bytes, too. */
function memoryBytes(topic: string, valueBytes: number): number {
  return baseBytes + levelBytes * levelCount(topic) + 4 * topic.length + 2 * valueBytes;
}

function levelCount(topic: string): number {
  let count = 1;
  for (let at = topic.indexOf('/'); at >= 0; at = topic.indexOf('/', at + 1)) count += 1;
  return count;
}
