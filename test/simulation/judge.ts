/**
 * After a restart: what the engine has must be what the model allows, and what was in doubt is in doubt no longer. Evidence is gathered for each
 * unit that had no answer (a message is there, another is not); all evidence of one unit must agree, and units must be a prefix of their order.
 */
import type { BrowsedMessage, KeyedValue, ProducerState, QueueStats, Topology } from '../../src/engine/engine.ts';
import { messageId as historyId } from '../../src/verify/index.ts';
import type { Client } from './client.ts';
import { type Copy, describeTopology, type Model, type ModelQueue, type Unit } from './model.ts';
import { bodyIsRight, parseProperties } from './payload.ts';

export interface Recovered {
  readonly topology: Topology;
  readonly producers: ReadonlyMap<string, ProducerState>;
  readonly state: readonly KeyedValue[];
  readonly messages: ReadonlyMap<string, readonly BrowsedMessage[]>;
  readonly stats: ReadonlyMap<string, QueueStats>;
  /** When the questions were asked. */
  readonly askedMs: number;
}

export class Evidence {
  readonly #model: Model;
  readonly #why = new Map<Unit, string>();
  /** Absent copies whose append and removal are both in doubt: not appended, or removed. */
  readonly #clauses: { readonly appended: Unit; readonly removed: Unit; readonly what: string }[] = [];

  constructor(model: Model) {
    this.#model = model;
  }

  show(unit: Unit | null, applied: boolean, why: string): void {
    if (unit === null || unit.state !== 'open') {
      const is = unit === null || unit.state === 'done';
      if (is !== applied)
        this.#model.violate(`${why}, but #${unit?.serial ?? '?'} was ${is ? 'confirmed' : 'refused'}`);
      return;
    }
    if (unit.applied === null) {
      unit.applied = applied;
      this.#why.set(unit, why);
    } else if (unit.applied !== applied) {
      this.#model.violate(`#${unit.serial} was applied by halves: ${this.#why.get(unit) ?? ''}; ${why}`);
    }
  }

  either(appended: Unit, removed: Unit, what: string): void {
    this.#clauses.push({ appended, removed, what });
  }

  close(): void {
    let moved = true;
    while (moved) {
      moved = false;
      for (const { appended, removed, what } of this.#clauses) {
        if (appended.applied === true && removed.applied === null) {
          this.show(removed, true, `${what} is absent though its append was applied`);
          moved = true;
        } else if (removed.applied === false && appended.applied === null) {
          this.show(appended, false, `${what} is absent though its removal was not applied`);
          moved = true;
        } else if (appended.applied === true && removed.applied === false) {
          this.#model.violate(
            `${what} is absent: appended by #${appended.serial}, which was applied; removed by #${removed.serial}, which was not`,
          );
        }
      }
    }
    let lost: Unit | null = null;
    for (const unit of this.#model.units) {
      if (unit.state !== 'open' || unit.applied === null) continue;
      if (!unit.applied) {
        if (!unit.refusable) lost ??= unit;
      } else if (lost !== null) {
        this.#model.violate(
          `#${unit.serial} survived, but #${lost.serial} before it did not: ${this.#why.get(unit) ?? ''}; ${this.#why.get(lost) ?? ''}`,
        );
        break;
      }
    }
    for (const unit of this.#model.units) {
      if (unit.state === 'open' && unit.applied !== null) unit.state = unit.applied ? 'done' : 'refused';
    }
    this.#model.units = [];
  }
}

/** The process ended: nothing is held any more. */
export function processEnded(client: Client, unclean: boolean): void {
  const { model, history } = client.world;
  for (const name of [...model.idsUnderWay.values()].flat()) {
    model.ids.set(name, { unit: null, atMs: client.world.scheduler.nowMs(), position: 0, doubt: true });
  }
  model.idsUnderWay.clear();
  const noAck = new Set(client.subscriptions.filter((one) => one.noAck && !one.cancelled).map((one) => one.queue));
  for (const { queue } of client.noAckTakes) noAck.add(queue);
  if (unclean) for (const queue of client.givingBack) noAck.add(queue);
  for (const { state } of model.topologies) {
    for (const queue of state.queues.values()) {
      queue.active = null;
      queue.groups.forget();
      for (const copy of queue.copies.values()) {
        copy.holder = null;
        copy.givenBackBy = null;
        copy.number = -1;
        if (unclean) copy.uncleanEnds++;
        copy.deliveredInThisLife = false;
        if (!noAck.has(queue)) continue;
        if (copy.mayBeReady) copy.displaced = client.world.displaced = true;
        if (copy.displaced && copy.removal !== null && unclean) copy.removal.maybe = true;
        if (copy.isReady && unclean && copy.dueAt <= client.world.scheduler.nowMs()) {
          // Its settlement comes before its delivery: the crash may have come between.
          copy.removal = { kind: 'no-ack', unit: null, maybe: true };
          history.removed(client.historyName(queue), historyId('all', 0, copy.appendId), 'deleted', { maybe: true });
        }
      }
    }
  }
}

/** What a topology in doubt could be, judged by what `open` gave back. */
export function judgeTopology(client: Client, topology: Topology): void {
  const { model } = client.world;
  const found = describeTopology(
    topology.entries,
    topology.queues.filter(({ limits }) => limits.stream === undefined),
  );
  judgeStreamsThere(client, topology);
  const candidates = model.topologies.map(({ state }) =>
    describeTopology(
      state.entries.values(),
      [...state.queues.values()].map((queue) => queue.spec),
    ),
  );
  const at = candidates.indexOf(found);
  // Made and undone, a change leaves nothing to see.
  const last = candidates.lastIndexOf(found);
  if (at < 0) {
    model.violate(`topology after restart is\n${found}\ninstead of\n${candidates.join('\nor\n')}`);
    return;
  }
  model.topologies.forEach(({ unit }, index) => {
    if (unit === null || unit.state !== 'open') return;
    // Changes of transient things leave nothing to see.
    const seen = index > 0 && candidates[index] !== candidates[index - 1];
    if (seen && (index <= at || index > last)) unit.applied = index <= at;
  });
  const { state } = model.topologies[at]!;
  const survivors = new Set(state.queues.values());
  for (const { state: other } of model.topologies) {
    for (const queue of other.queues.values()) {
      queue.deleted = !survivors.has(queue) || !queue.spec.durable;
      if (queue.deleted) client.world.history.emptied(client.historyName(queue), 'deleted');
    }
  }
  for (const [key, entry] of [...state.entries]) if (!entry.durable) state.entries.delete(key);
  for (const [key, queue] of [...state.queues]) if (!queue.spec.durable) state.queues.delete(key);
  model.topologies = [{ unit: null, state }];
}

/** A stream that was declared for certain is there; of another it is known now. */
function judgeStreamsThere({ world }: Client, topology: Topology): void {
  for (const book of world.streams) {
    const there = topology.queues.some(({ key }) => key === book.key);
    const unit = typeof book.declared === 'object' ? book.declared : null;
    if (unit === null ? book.declared === true && !there : unit.state === 'done' && !there)
      world.model.violate(`stream ${book.key} is lost: it was declared`);
    if (unit?.state === 'open') unit.applied = there;
    book.declared = there;
  }
}

export function judgeRecovered(client: Client, recovered: Recovered): void {
  const { model } = client.world;
  const evidence = new Evidence(model);
  for (const [name, { epoch, lastSequence }] of recovered.producers) {
    const known = model.producers.get(name)!;
    if (epoch <= known.epoch) model.violate(`producer ${name}: epoch ${epoch} after ${known.epoch}`);
    const most = known.pending.reduce((last, one) => Math.max(last, one.sequence), known.last);
    if (lastSequence < known.last)
      model.violate(`producer ${name}: last sequence ${lastSequence}, but ${known.last} was confirmed`);
    if (lastSequence > most)
      model.violate(`producer ${name}: last sequence ${lastSequence}, but only ${most} was sent`);
    // Where a sequence was sent once, the counter shows what became of its unit.
    for (const { sequence, unit } of known.pending) {
      if (sequence <= known.last || known.pending.filter((one) => one.sequence === sequence).length > 1) continue;
      if (sequence <= lastSequence) evidence.show(unit, true, `producer ${name} is at ${lastSequence}`);
    }
    known.epoch = epoch;
    known.last = lastSequence;
    known.pending = [];
  }
  judgeKeys(client, recovered, evidence);
  for (const queue of model.queues) judgeQueue(client, queue, recovered, evidence);
  for (const book of client.world.streams) {
    if (book.declared === false) continue;
    const { key } = book;
    book.judge(recovered.messages.get(key) ?? [], recovered.stats.get(key), evidence, recovered.askedMs);
  }
  evidence.close();
  for (const queue of model.queues) for (const copy of queue.copies.values()) judgeUnseen(client, queue, copy);
  for (const [name, id] of model.ids) if (id.unit?.state === 'refused') model.ids.delete(name);
}

/** What waits shows nowhere: of what happened to it, it is only known what other evidence says. */
function judgeUnseen(client: Client, queue: ModelQueue, copy: Copy): void {
  const { appendedBy } = copy;
  if (appendedBy?.state === 'refused') {
    queue.forget(copy);
    return;
  }
  copy.appendedBy = null;
  const unit = copy.removal?.unit ?? null;
  // Of a batch that was applied, a repeat was passed over.
  const stored = appendedBy?.state !== 'open' && (!copy.identified || copy.delayedNumber !== null);
  if (stored && unit === null) return;
  client.world.history.removed(client.historyName(queue), historyId('all', 0, copy.appendId), 'deleted', {
    maybe: true,
  });
  if (stored && unit?.state === 'done') queue.forget(copy);
  else if (stored && unit?.state === 'refused') copy.removal = null;
  else copy.removal = { kind: 'engine', unit: null, maybe: true };
}

function judgeKeys(client: Client, recovered: Recovered, evidence: Evidence): void {
  const { model } = client.world;
  const found = new Map(recovered.state.map((one) => [one.key, one]));
  for (const key of found.keys()) if (!model.keys.has(key)) model.violate(`state ${key}: nobody wrote it`);
  for (const [name, key] of model.keys) {
    const value = found.get(name)?.value ?? null;
    const equals = (other: Buffer | null): boolean =>
      value === null ? other === null : other !== null && Buffer.compare(value, other) === 0;
    if (equals(key.value)) {
      // A null may also be a later delete.
      if (value !== null)
        for (const one of key.pending) if (one.certain) evidence.show(one.unit, false, `state ${name} is as before`);
      if (key.revision !== null && key.pending.length === 0 && (found.get(name)?.revision ?? 0) !== key.revision) {
        model.violate(`state ${name}: revision ${found.get(name)?.revision ?? 0} instead of ${key.revision}`);
      }
    } else {
      const at = key.pending.findIndex((one) => equals(one.value));
      if (at < 0)
        model.violate(
          `state ${name}: ${value === null ? 'gone' : 'a value'} that is neither the confirmed nor a pending one`,
        );
      else if (value !== null) {
        evidence.show(key.pending[at]!.unit, true, `state ${name} has its value`);
        for (const one of key.pending.slice(at + 1))
          if (one.certain) evidence.show(one.unit, false, `state ${name} has not its value`);
      }
    }
    key.value = value === null ? null : Buffer.from(value);
    key.revision = found.get(name)?.revision ?? 0;
    model.highestRevision = Math.max(model.highestRevision, key.revision);
    key.pending = [];
  }
}

function judgeQueue(client: Client, queue: ModelQueue, recovered: Recovered, evidence: Evidence): void {
  const messages = recovered.messages.get(queue.key) ?? [];
  const { model, scheduler, history, coverage } = client.world;
  const nowMs = scheduler.nowMs();
  const present = new Set<Copy>();
  const lastOrder = new Map<number, number>();
  const numbers = new Set<number>();
  for (const message of messages) {
    const received = parseProperties(message.properties);
    if (received === null) {
      model.violate(`${queue.key}@${message.number} after restart: properties are not what was appended`);
      continue;
    }
    const what = `append ${received.appendId} in ${queue.key}@${message.number} after restart`;
    if (!bodyIsRight(received, message.body)) model.violate(`${what}: wrong body`);
    if (numbers.has(message.number)) model.violate(`${what}: its number stands twice`);
    numbers.add(message.number);
    const copy = queue.copies.get(received.appendId);
    if (copy === undefined) {
      model.violate(
        `${what}: ${queue.gone.has(received.appendId) ? 'it was settled or refused for certain' : 'it never went there'}`,
      );
      continue;
    }
    if (present.has(copy)) model.violate(`${what}: stands twice`);
    present.add(copy);
    copy.number = message.number;
    if (copy.dueAt === 0 && !copy.displaced) {
      if (copy.order < (lastOrder.get(copy.priority) ?? -1))
        model.violate(`${what}: out of its order: ${messages.map((one) => `${one.number}`).join(' ')}`);
      lastOrder.set(copy.priority, copy.order);
    }
    if (copy.deliveries > 0 && !message.redelivered) model.violate(`${what}: was delivered, not flagged redelivered`);
    if (copy.deliveries + copy.uncleanEnds === 0 && message.redelivered)
      model.violate(`${what}: flagged redelivered, but never delivered`);
    evidence.show(copy.appendedBy, true, `${what} is there`);
    if (copy.removal !== null && !copy.removal.maybe) evidence.show(copy.removal.unit, false, `${what} is there`);
    copy.appendedBy = null;
    copy.removal = null;
    copy.overflown = false;
  }
  // Where they stand now they stay.
  const moved = [...present].some((copy) => copy.displaced);
  let before = -1;
  for (const copy of [...present].sort((a, b) => a.number - b.number)) {
    // Of what is absent some may come back, to the place that it had.
    if (copy.displaced || copy.dueAt !== 0 || copy.order <= before) copy.order = before + 1 / 1024;
    copy.displaced = false;
    before = copy.order;
  }
  // What was taken out by a unit in doubt may have been there again, and one too many.
  queue.press(true);
  for (const copy of [...queue.copies.values()]) {
    if (present.has(copy)) continue;
    const what = `append ${copy.appendId} in ${queue.key}`;
    if (copy.dueAt > recovered.askedMs || copy.comesDue(recovered.askedMs)) continue;
    const lawful =
      copy.removal?.maybe === true || (queue.limits.handOverRemoved !== true && queue.removable(copy, nowMs) !== null);
    if (lawful) {
      coverage.add('judged.lawfully-gone');
      history.removed(client.historyName(queue), historyId('all', 0, copy.appendId), 'overflow', { maybe: true });
    } else if (copy.removal === null) {
      if (copy.servedDurable) model.violate(`${what} is lost: a consumer that waits for the disk had it`);
      else if (copy.appendedBy === null || copy.appendedBy.state === 'done')
        model.violate(`${what} is lost: it was confirmed`);
      else if (!copy.identified) evidence.show(copy.appendedBy, false, `${what} is absent`);
    } else if (copy.appendedBy === null || copy.appendedBy.state === 'done') {
      evidence.show(copy.removal.unit, true, `${what} is absent`);
    } else if (copy.appendedBy.state === 'open' && copy.removal.unit !== null && copy.removal.unit.state === 'open') {
      evidence.either(copy.appendedBy, copy.removal.unit, what);
    }
    if (copy.removal !== null)
      history.removed(client.historyName(queue), historyId('all', 0, copy.appendId), 'deleted', { maybe: true });
    // Nobody waits for what the engine removes by itself: it may have been done since this start alone, and not be durable.
    if (queue.limits.handOverRemoved !== true && queue.removable(copy, nowMs) !== null)
      copy.removal = { kind: 'engine', unit: null, maybe: true };
    else queue.forget(copy);
    // It may come back, and nobody knows on which side of those that may have moved.
    if (moved) copy.displaced = true;
  }
  // What came back may have been too many, and be pushed out from now on.
  queue.press();
  coverage.add('judged.messages', messages.length);
}
