/**
 * Judges a history. Events are booked as they come; delivery-rules.ts reports at once what no later event can excuse,
 * closing.ts at the end what needs the whole history.
 */
import { close } from './closing.ts';
import { DeliveryRules } from './delivery-rules.ts';
import { FaultLog } from './fault-log.ts';
import { Findings } from './findings.ts';
import type {
  DeliverEvent,
  EffectEvent,
  HistoryEvent,
  PublishAnswerEvent,
  PublishEvent,
  RemovalEvent,
  SettleEvent,
} from './history.ts';
import { FLAG, Ledger, MESSAGE, PLACE } from './ledger.ts';
import { DEFAULT_MINIMUMS, shortfalls, type Minimums } from './minimums.ts';
import type { Counts, Guarantee, Verdict } from './verdict.ts';

export interface CheckOptions {
  /** What the run must have had to be judged, over DEFAULT_MINIMUMS of the guarantee. */
  readonly minimums?: Partial<Minimums>;
  /**
   * Everything was recorded in one process in the order in which it happened. Without it a delivery may have been
   * recorded later than what another consumer saw after it, and the rules on repeats allow for that. Default false.
   */
  readonly synchronous?: boolean;
  /**
   * The run went on until every message was settled: what was delivered and then neither settled nor delivered again
   * is lost (at-least-once). Default false: a delivery is enough.
   */
  readonly everySettled?: boolean;
  /** Queues whose effects are recorded; the others are judged by delivery. Default: all (exactly-once). */
  readonly effectQueues?: Iterable<string>;
  /** False against a broker that is not ours to fault: no fault is required, and the verdict says so. Default true. */
  readonly injected?: boolean;
  /** How many violations of each rule are kept with what was seen; all are counted. Default 10. */
  readonly keep?: number;
}

/**
 * @param history events in order of time. Where it can be iterated twice (an array, `readHistory`), violations tell
 * what was seen; a generator is read once only.
 */
export function check(history: Iterable<HistoryEvent>, guarantee: Guarantee, options: CheckOptions = {}): Verdict {
  const checker = new Checker(guarantee, options);
  for (const event of history) checker.add(event);
  return checker.verdict(history);
}

/** `check` for whoever has events one by one. */
export class Checker {
  readonly #guarantee: Guarantee;
  readonly #options: CheckOptions;
  readonly #ledger = new Ledger();
  readonly #findings: Findings;
  readonly #counts: Counts = {
    published: 0,
    attempts: 0,
    confirmed: 0,
    unknown: 0,
    rejected: 0,
    unknownAttempts: 0,
    delivered: 0,
    redelivered: 0,
    settled: 0,
    effects: 0,
    faults: 0,
    inFlightAtFault: 0,
  };
  readonly #faults = new FaultLog(this.#ledger);
  readonly #rules: DeliveryRules;
  /** What makes the history itself unfit to judge: an example of each kind, and how often. */
  readonly #unfit = new Map<string, { example: string; times: number }>();

  constructor(guarantee: Guarantee, options: CheckOptions = {}) {
    this.#guarantee = guarantee;
    this.#options = options;
    this.#findings = new Findings(options.keep ?? 10);
    this.#rules = new DeliveryRules(this.#ledger, this.#findings, guarantee, options.synchronous ?? false);
  }

  add(event: HistoryEvent): void {
    switch (event.type) {
      case 'publish':
        this.#publish(event);
        break;
      case 'publish-ok':
      case 'publish-rejected':
      case 'publish-unknown':
        this.#answer(event);
        break;
      case 'subscribe':
        this.#ledger.consumer(this.#ledger.queue(event.queue), event.consumer, true);
        break;
      case 'deliver':
        this.#deliver(event);
        break;
      case 'settle':
      case 'settle-ok':
      case 'settle-refused':
      case 'settle-unknown':
        this.#settle(event);
        break;
      case 'effect':
        this.#effect(event);
        break;
      case 'removed':
        this.#removed(event);
        break;
      case 'fault':
        this.#faults.struck(event);
        break;
      case 'fault-proof':
        if (!this.#faults.proven(event)) this.#unfitFor('a proof of a fault that was never recorded', event.name);
    }
  }

  /** Closes the books: once, at the end. @param history the same events again, for what was seen of violations. */
  verdict(history: Iterable<HistoryEvent> = []): Verdict {
    close(this.#ledger, this.#findings, this.#counts, {
      guarantee: this.#guarantee,
      everySettled: this.#options.everySettled ?? false,
      effectQueues: this.#options.effectQueues && new Set(this.#options.effectQueues),
    });
    this.#counts.faults = this.#faults.size;
    this.#counts.inFlightAtFault = this.#faults.inFlightAtProvenFault();
    const lacks = this.#lacks();
    const findings = this.#findings;
    if (findings.any) findings.gather(history);
    return {
      guarantee: this.#guarantee,
      verdict: findings.any ? 'broken' : lacks.length > 0 ? 'void' : 'held',
      reasons: findings.any ? findings.reasons() : lacks,
      notes: this.#notes(findings.any ? lacks : []),
      counts: this.#counts,
      rules: findings.rules,
      queues: Object.fromEntries(this.#ledger.queues.map(({ name, counts }) => [name, counts])),
      violations: findings.violations(),
    };
  }

  #publish(event: PublishEvent): void {
    const ledger = this.#ledger;
    const message = ledger.message(event.id);
    ledger.messages.add(message, MESSAGE.attempts, 1);
    this.#counts.attempts++;
    if (ledger.messages.get(message, MESSAGE.attempts) > 1) {
      this.#publishAgain(event, message);
      return;
    }
    this.#counts.published++;
    if (ledger.messages.get(message, MESSAGE.producer) < 0) {
      this.#unfitFor('an id that is not producer/epoch/sequence', event.id);
    }
    ledger.hashes[message] = event.hash;
    for (const name of event.route) {
      const place = ledger.place(message, ledger.queue(name));
      if (ledger.has(place, FLAG.published)) continue;
      const order = event.unordered === true ? FLAG.unordered : 0;
      ledger.raise(place, FLAG.routed | FLAG.published | FLAG.expected | order);
      ledger.places.add(place, PLACE.copies, 1);
      if (ledger.places.get(place, PLACE.deliveries) > 0) continue;
      ledger.raise(place, FLAG.owed);
      this.#faults.departed(place);
    }
  }

  /** A repeat of the same message: another copy of it may be stored, unless the broker promised to know it again. */
  #publishAgain(event: PublishEvent, message: number): void {
    const ledger = this.#ledger;
    if (ledger.hashes[message] !== event.hash) this.#unfitFor('a message published again with another body', event.id);
    if (this.#guarantee === 'at-most-once') {
      this.#unfitFor('a publish repeated by its producer, which at-most-once rules out', event.id);
    }
    const route = new Set(event.route);
    let published = 0;
    for (let place = ledger.firstPlace(message); place >= 0; place = ledger.nextPlace(place)) {
      if (!ledger.has(place, FLAG.published)) continue;
      published++;
      if (!route.has(ledger.queueBook(ledger.places.get(place, PLACE.queue)).name)) route.clear();
      if (this.#guarantee !== 'exactly-once') ledger.places.add(place, PLACE.copies, 1);
    }
    if (route.size !== published) this.#unfitFor('a message published again to another route', event.id);
  }

  #answer(event: PublishAnswerEvent): void {
    const { messages } = this.#ledger;
    const message = this.#ledger.findMessage(event.id);
    if (message === undefined || messages.get(message, MESSAGE.attempts) === 0) {
      this.#unfitFor('an answer to a publish that was never recorded', event.id);
      return;
    }
    if (event.type === 'publish-unknown') {
      this.#counts.unknownAttempts++;
      return;
    }
    messages.add(message, event.type === 'publish-ok' ? MESSAGE.oks : MESSAGE.rejections, 1);
    const answers = messages.get(message, MESSAGE.oks) + messages.get(message, MESSAGE.rejections);
    if (answers > messages.get(message, MESSAGE.attempts)) this.#unfitFor('a publish answered twice', event.id);
    if (event.type === 'publish-rejected') this.#withdraw(message);
  }

  /** A rejected attempt left no copy. */
  #withdraw(message: number): void {
    const ledger = this.#ledger;
    for (let place = ledger.firstPlace(message); place >= 0; place = ledger.nextPlace(place)) {
      if (!ledger.has(place, FLAG.published)) continue;
      this.#faults.landed(place);
      if (this.#guarantee !== 'exactly-once') ledger.places.add(place, PLACE.copies, -1);
    }
  }

  #deliver(event: DeliverEvent): void {
    const ledger = this.#ledger;
    const message = ledger.message(event.id);
    const queueIndex = ledger.queue(event.queue);
    const queue = ledger.queueBook(queueIndex);
    const place = ledger.place(message, queueIndex);
    const consumer = ledger.consumer(queueIndex, event.consumer);
    this.#counts.delivered++;
    if (event.redelivered) {
      this.#counts.redelivered++;
      queue.counts.redelivered++;
    }
    // Where it was not routed to, it is a phantom, unless a dead-lettering recorded later explains it.
    if (ledger.has(place, FLAG.routed)) this.#rules.judge(event, place, queue, consumer);
    this.#faults.landed(place);
    ledger.lower(place, FLAG.owed);
    // Recorded late, it may be older than the settlement.
    if (this.#inTrueOrder(place) || !ledger.has(place, FLAG.settling | FLAG.excused)) ledger.raise(place, FLAG.open);
    ledger.places.add(place, PLACE.deliveries, 1);
    if (!event.redelivered) ledger.places.add(place, PLACE.unflagged, 1);
    ledger.places.set(place, PLACE.lastConsumer, consumer.index);
  }

  #settle(event: SettleEvent): void {
    const ledger = this.#ledger;
    const message = ledger.findMessage(event.id);
    if (message === undefined) {
      this.#unfitFor('a settlement of a message that was never recorded', event.id);
      return;
    }
    const queue = ledger.queue(event.queue);
    const place = ledger.place(message, queue);
    const consumer = ledger.consumer(queue, event.consumer);
    if (event.how === 'requeue') return;
    const ofHolder = !this.#inTrueOrder(place) || ledger.places.get(place, PLACE.lastConsumer) === consumer.index;
    switch (event.type) {
      case 'settle':
        ledger.raise(place, FLAG.settling);
        if (ofHolder) ledger.lower(place, FLAG.open);
        return;
      case 'settle-refused':
        if (ofHolder && this.#inTrueOrder(place)) ledger.raise(place, FLAG.open);
        return;
      case 'settle-ok':
        this.#counts.settled++;
        ledger.lower(place, FLAG.open);
        this.#gone(place, consumer.index);
        return;
      case 'settle-unknown':
        return;
    }
  }

  /** Whether it is certain which delivery of a message a settlement is of: one copy, and events in true order. */
  #inTrueOrder(place: number): boolean {
    return this.#options.synchronous === true && this.#ledger.places.get(place, PLACE.copies) <= 1;
  }

  #gone(place: number, by: number): void {
    const { places } = this.#ledger;
    places.add(place, PLACE.gone, 1);
    places.set(place, PLACE.goneBy, by);
    places.set(place, PLACE.goneSince, this.#ledger.queueBook(places.get(place, PLACE.queue)).consumers.size);
  }

  #effect(event: EffectEvent): void {
    const ledger = this.#ledger;
    const message = ledger.message(event.id);
    const queueIndex = ledger.queue(event.queue);
    const queue = ledger.queueBook(queueIndex);
    this.#counts.effects++;
    queue.counts.effects++;
    ledger.places.add(ledger.place(message, queueIndex), PLACE.effects, 1);
    if (event.hash !== undefined) this.#rules.compareBody(event, event.hash, message, queue);
  }

  #removed(event: RemovalEvent): void {
    const ledger = this.#ledger;
    const queue = ledger.queue(event.queue);
    if (event.id === undefined) {
      for (let place = 0; place < ledger.places.length; place++) {
        if (ledger.places.get(place, PLACE.queue) === queue) this.#excuse(place);
      }
      return;
    }
    const message = ledger.message(event.id);
    const place = ledger.place(message, queue);
    this.#excuse(place);
    if (event.maybe !== true) {
      this.#gone(place, -1);
      ledger.places.add(place, PLACE.removals, 1);
    }
    for (const name of event.to ?? []) this.#enter(ledger.place(message, ledger.queue(name)), event.maybe === true);
  }

  #excuse(place: number): void {
    this.#faults.landed(place);
    this.#ledger.lower(place, FLAG.owed | FLAG.open);
    this.#ledger.raise(place, FLAG.excused);
  }

  /** Dead-lettered to a queue: perhaps the one it came from, whose next delivery of it is then no repeat. */
  #enter(place: number, maybe: boolean): void {
    const ledger = this.#ledger;
    const early = !ledger.has(place, FLAG.routed) && ledger.places.get(place, PLACE.deliveries) > 0;
    ledger.raise(place, FLAG.routed | FLAG.unordered);
    ledger.places.add(place, PLACE.copies, 1);
    if (maybe || early) return;
    ledger.lower(place, FLAG.excused);
    ledger.raise(place, FLAG.expected | FLAG.owed);
  }

  #unfitFor(what: string, example: string): void {
    const known = this.#unfit.get(what);
    if (known === undefined) this.#unfit.set(what, { example, times: 1 });
    else known.times++;
  }

  /** Why the run is void, if nothing broke. */
  #lacks(): string[] {
    const minimums = { ...DEFAULT_MINIMUMS[this.#guarantee], ...this.#options.minimums };
    const unfit = [...this.#unfit].map(
      ([what, { example, times }]) => `the history has ${what}: ${example} (${times} such)`,
    );
    const wanted = this.#options.injected === false ? { ...minimums, inFlight: 0 } : minimums;
    return [...unfit, ...this.#faults.unproven(), ...shortfalls(this.#counts, wanted)];
  }

  #notes(lacks: readonly string[]): string[] {
    const notes = lacks.map((lack) => `besides: ${lack}`);
    if (this.#options.injected === false) notes.push('no fault was injected: the broker is not ours to fault');
    return notes;
  }
}
