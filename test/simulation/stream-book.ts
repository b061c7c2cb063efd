/**
 * What a stream may hold, and what was seen of it. Its numbers are an identity: what one reader, one life and one restart saw at a
 * number, every other one sees there, or nothing any more where retention has passed. They are dense, and what goes, goes from the head.
 */
import type { BrowsedMessage, DeliveryView, QueueStats, StreamLimits } from '../../src/engine/engine.ts';
import type { Evidence } from './judge.ts';
import type { Model, Unit } from './model.ts';
import { bodyIsRight, parseProperties } from './payload.ts';

interface Entry {
  readonly appendId: number;
  readonly dueAt: number;
  /** Even an applied batch may have passed over it. */
  readonly identified: boolean;
  /** Null: it was stored for certain. */
  unit: Unit | null;
  /** -1: nobody saw it yet. */
  number: number;
  /** In this life, or before: then a restart must show it, or what retention left. */
  delivered: boolean;
}

export class StreamBook {
  readonly key: string;
  readonly limits: StreamLimits;
  /** Whether it is there; a unit: whose answer will say. */
  declared: Unit | boolean = false;
  readonly #model: Model;
  readonly #entries = new Map<number, Entry>();
  /** What was seen at each number, ever. */
  readonly #appendAt = new Map<number, number>();
  #highest = 0;
  /** Some message was to be due later. */
  #delays = false;

  constructor(key: string, limits: StreamLimits, model: Model) {
    this.key = key;
    this.limits = limits;
    this.#model = model;
  }

  get isLimited(): boolean {
    return this.limits.maxBytes !== undefined || this.limits.maxAgeMs !== undefined;
  }

  append(appendId: number, dueAt: number, identified: boolean, unit: Unit): void {
    if (dueAt !== 0) this.#delays = true;
    this.#entries.set(appendId, { appendId, dueAt, identified, unit, number: -1, delivered: false });
  }

  refused(appendId: number): void {
    if (this.#entries.get(appendId)?.delivered === true)
      this.#model.violate(`append ${appendId} was refused, but was delivered from ${this.key}`);
    this.#entries.delete(appendId);
  }

  stored(appendId: number): void {
    const entry = this.#entries.get(appendId);
    if (entry !== undefined) entry.unit = null;
  }

  /** A reader that asked for what comes from `expected` on got this. Returns the number that it gets next. */
  delivered(view: DeliveryView, expected: number, nowMs: number): number {
    const where = `${this.key}@${view.number}`;
    const properties = view.head.subarray(view.propertiesStart, view.propertiesEnd);
    const entry = this.#seen(view.number, properties, view.body.subarray(view.bodyStart, view.bodyEnd), where);
    if (view.redelivered || view.deliveryCount > 0) this.#model.violate(`${where}: flagged redelivered`);
    if (view.number < expected || (view.number > expected && !this.isLimited))
      this.#model.violate(`${where}: delivered where ${expected} was to come`);
    const name = view.head.subarray(view.envelopeStart, view.envelopeEnd).toString('latin1');
    if (!name.split(' ').includes(this.key)) this.#model.violate(`${where}: wrong envelope '${name}'`);
    if (entry !== null) {
      entry.delivered = true;
      if (entry.dueAt > nowMs) this.#model.violate(`${where}: delivered before it is due`);
    }
    return view.number + 1;
  }

  /** After a restart: all that is there. */
  judge(messages: readonly BrowsedMessage[], stats: QueueStats | undefined, evidence: Evidence, askedMs: number): void {
    const present = new Set<Entry>();
    let last: BrowsedMessage | null = null;
    let lastInOrder = 0;
    let bytes = 0;
    for (const message of messages) {
      const where = `${this.key}@${message.number} after restart`;
      const entry = this.#seen(message.number, message.properties, message.body, where);
      if (last !== null && message.number !== last.number + 1) this.#model.violate(`${where}: follows ${last.number}`);
      if (last === null && !this.isLimited && message.number !== 1) this.#model.violate(`${where}: is the first`);
      last = message;
      bytes += message.body.length;
      if (entry === null) continue;
      present.add(entry);
      if (entry.unit !== null) evidence.show(entry.unit, true, `append ${entry.appendId} in ${where} is there`);
      entry.unit = null;
      if (entry.dueAt !== 0) continue;
      if (entry.appendId < lastInOrder) this.#model.violate(`${where}: append ${entry.appendId} after ${lastInOrder}`);
      lastInOrder = entry.appendId;
    }
    const first = messages[0]?.number ?? Infinity;
    // What is not durable yet, and so not shown, may be all that retention has left.
    if (last === null ? !this.isLimited && this.#highest > 0 : this.#highest > last.number)
      this.#model.violate(`${this.key} after restart: ends at ${last?.number ?? 0}, though ${this.#highest} was seen`);
    const firstInOrder = [...present].find((entry) => entry.dueAt === 0)?.appendId ?? Infinity;
    for (const entry of [...this.#entries.values()]) {
      if (!present.has(entry)) this.#absent(entry, first, firstInOrder, messages.length, evidence, askedMs);
    }
    // What comes due is counted before it is durable.
    if (this.isLimited || this.#delays || stats === undefined) return;
    if (stats.ready !== messages.length || stats.readyBytes !== bytes)
      this.#model.violate(
        `${this.key} after restart: ${stats.ready} ready, ${stats.readyBytes} bytes by stats, ${messages.length}, ${bytes} by read`,
      );
  }

  #absent(entry: Entry, first: number, firstInOrder: number, count: number, evidence: Evidence, askedMs: number): void {
    const { appendId, unit, dueAt, number } = entry;
    const what = `append ${appendId} in ${this.key}`;
    // It waits, or is about to get its place.
    if (dueAt > askedMs - 5_000 && number === -1 && unit?.state !== 'refused') return;
    this.#entries.delete(appendId);
    const behindHead = number !== -1 ? number < first : dueAt !== 0 || appendId < firstInOrder;
    if (this.isLimited && (behindHead || count === 0)) return;
    if (entry.delivered) this.#model.violate(`${what} is lost: it was delivered`);
    else if (unit === null || unit.state === 'done') this.#model.violate(`${what} is lost: it was confirmed`);
    else if (!entry.identified && dueAt === 0) evidence.show(unit, false, `${what} is absent`);
  }

  #seen(number: number, properties: Buffer, body: Buffer, where: string): Entry | null {
    const received = parseProperties(properties);
    if (received === null || !bodyIsRight(received, body)) {
      this.#model.violate(`${where}: not what was appended`);
      return null;
    }
    const { appendId } = received;
    const before = this.#appendAt.get(number);
    if (before !== undefined && before !== appendId)
      this.#model.violate(`${where}: append ${appendId}, where append ${before} was seen`);
    this.#appendAt.set(number, appendId);
    this.#highest = Math.max(this.#highest, number);
    const entry = this.#entries.get(appendId);
    if (entry === undefined) {
      this.#model.violate(`${where}: append ${appendId} was refused, is gone, or never went there`);
      return null;
    }
    if (entry.number !== -1 && entry.number !== number)
      this.#model.violate(`${where}: append ${appendId} was seen at ${entry.number}`);
    entry.number = number;
    return entry;
  }
}
