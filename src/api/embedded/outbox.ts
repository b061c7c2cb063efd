/**
 * Hot: what the API asks for within a turn becomes one batch at its end, so that publishers and handlers that run side by side
 * share a group of the journal. While the engine is blocked or behind, publishes wait here; settlements go on.
 */
import {
  type Batch,
  type Broker,
  type CommitReceiver,
  type EngineError,
  type ItemOutcome,
  type MessageView,
  type Route,
  type Session,
  emptyMessage,
} from '../../broker/index.ts';
import { type BasicProperties, encodeProperties } from '../../format/basic-properties.ts';
import { PostriderError } from '../errors.ts';
import { aborted, listenTo } from '../abort.ts';
import type { Address, Outgoing } from '../link.ts';
import { lostDelivery, unroutable } from '../message-outcomes.ts';
import { brokerFailure, refusal } from './broker-failure.ts';
import { CountedBatch } from './counted-batch.ts';
import { TextRun } from './text-run.ts';

export interface Publish {
  readonly to: Address;
  readonly message: Outgoing;
  readonly resolve: () => void;
  readonly reject: (error: PostriderError) => void;
  readonly signal: AbortSignal | undefined;
}

/** Settles a delivery in the batch that the outbox makes. */
export interface Settling {
  readonly session: Session;
  readonly tag: number;
  readonly requeue: boolean;
  readonly done: (error: PostriderError | null) => void;
}

/** Has deliveries to acknowledge for which nobody waits. */
export interface Acknowledger {
  acknowledge(batch: Batch): void;
}

interface Committed {
  readonly publishes: Publish[];
  readonly settlings: Settling[];
}

/** What is answered without the engine; null: nobody was to get it. */
interface Answer {
  readonly publish: Publish;
  readonly error: PostriderError | null;
}

const longestTimerMs = 2 ** 31 - 1;
/** How long a refusal for want of space waits when the engine doesn't say that it is blocked. */
const fullPauseMs = 100;
/** Flushes that may follow one another within a turn of the event loop. */
const mostFlushesATurn = 64;
const noBytes: Buffer = Buffer.alloc(0);

export class Outbox implements CommitReceiver<Committed> {
  readonly #broker: Broker;
  readonly #session: Session;
  #publishes: Publish[] = [];
  #settlings: Settling[] = [];
  #acknowledgers: Acknowledger[] = [];
  #due = false;
  #failure: PostriderError | null = null;
  /** Commits under way. */
  #open = 0;
  #idle: (() => void)[] = [];
  #pause: NodeJS.Timeout | null = null;
  /** Whoever waits for an answer keeps the process alive, and nobody else does. */
  readonly #alive = setInterval(() => undefined, longestTimerMs).unref();
  #answers: Answer[] = [];
  readonly #batch: CountedBatch;
  /** Since the event loop was last seen to turn, or a while longer. */
  #flushes = 0;
  readonly #flush = (): void => this.#flushDue();
  readonly #turned = (): void => {
    this.#flushes = 0;
  };
  readonly #answer = (): void => this.#answerAll();
  #sweeping = false;
  readonly #aborted = (): void => this.#sweepSoon();
  readonly #message = emptyMessage();
  #encoded: BasicProperties | null = null;
  #encodedBytes = noBytes;
  #address: Address | null = null;
  readonly #texts = new TextRun();
  #route: Route | null = null;

  constructor(broker: Broker, session: Session) {
    this.#broker = broker;
    this.#session = session;
    this.#batch = new CountedBatch(broker);
  }

  publish(publish: Publish): void {
    if (this.#failure !== null) {
      publish.reject(this.#failure);
      return;
    }
    // The same function again for the same signal is one listener.
    if (publish.signal !== undefined) listenTo(publish.signal, this.#aborted);
    this.#publishes.push(publish);
    this.#schedule();
  }

  settle(settling: Settling): void {
    this.#settlings.push(settling);
    this.#schedule();
  }

  /** To be asked, once, when the batch is made. */
  acknowledges(acknowledger: Acknowledger): void {
    this.#acknowledgers.push(acknowledger);
    this.#schedule();
  }

  /** There is space again, or the disk has caught up. */
  resume(): void {
    if (this.#publishes.length > 0) this.#schedule();
  }

  /** The engine failed. What is on its way is told by the engine itself. */
  fail(error: PostriderError): void {
    this.#failure = error;
    for (const publish of this.#publishes.splice(0)) publish.reject(error);
    for (const { done } of this.#settlings.splice(0)) done(error);
    this.#acknowledgers = [];
    this.#keepAlive();
  }

  /** Resolves when everything is answered; publishes that wait for space are given up. */
  async close(): Promise<void> {
    this.flush();
    const error = new PostriderError('CLOSED', 'closed before there was space on the disk; the message was not stored');
    for (const publish of this.#publishes.splice(0)) publish.reject(error);
    this.#failure ??= new PostriderError('CLOSED', 'it is closed; connect again to publish');
    while (this.#open > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    // What was on its way may have found no space either.
    for (const publish of this.#publishes.splice(0)) publish.reject(error);
    if (this.#pause !== null) clearTimeout(this.#pause);
    clearInterval(this.#alive);
  }

  /** Resolves once publishes may be tried again. */
  async space(): Promise<void> {
    const { pressure } = this.#broker;
    do await new Promise((resolve) => setTimeout(resolve, fullPauseMs));
    while (pressure.blocked !== null && this.#failure === null);
  }

  /** The message as the engine takes it; the same object again for the next. `writtenAt`: where its text was written, with others. */
  view(message: Outgoing, expiresAt: number, writtenAt = -1): MessageView {
    if (message.properties !== this.#encoded) {
      this.#encodedBytes = encodeProperties(message.properties);
      this.#encoded = message.properties;
    }
    const view = this.#message;
    const { body } = message;
    view.head = this.#encodedBytes;
    view.propertiesStart = 0;
    view.propertiesEnd = this.#encodedBytes.length;
    if (writtenAt >= 0) {
      view.body = this.#texts.buffer;
      view.bodyStart = writtenAt;
      view.bodyEnd = writtenAt + (body as string).length;
    } else {
      this.#write(view, body);
    }
    view.expiresAt = expiresAt;
    view.dueAt = message.delayMs > 0 ? this.#broker.context.clock.now() + message.delayMs : 0;
    return view;
  }

  /** @throws BrokerError, FormatError */
  resolve(to: Address, message: Outgoing, writtenAt = -1): { route: Route; view: MessageView } {
    const { vhost, principal } = this.#session;
    if (to !== this.#address || this.#route?.version !== vhost.version) {
      this.#address = null;
      this.#route = vhost.route(principal, to.exchange, to.routingKey);
      this.#address = to;
    }
    const view = this.view(message, 0, writtenAt);
    return { route: this.#session.resolve(this.#route, view), view };
  }

  committed({ publishes, settlings }: Committed, outcomes: readonly ItemOutcome[] | null): void {
    const waiting = outcomes === null ? null : this.#refused(publishes, outcomes);
    for (const publish of publishes) if (waiting?.has(publish) !== true) publish.resolve();
    if (outcomes !== null) tellLost(settlings, publishes.length, outcomes);
    for (const { done } of settlings) done(null);
    this.#told();
  }

  failed({ publishes, settlings }: Committed, error: EngineError): void {
    const unknown = new PostriderError(
      'UNKNOWN_OUTCOME',
      `the engine failed before it answered, so the message may be stored or not: ${error.message}`,
      { cause: error },
    );
    for (const publish of publishes) publish.reject(unknown);
    for (const { done } of settlings) done(unknown);
    this.#told();
  }

  flush(): void {
    this.#due = false;
    const { publishes, settlings } = this.#take();
    const batch = this.#batch;
    const sent: Publish[] = [];
    const texts = this.#texts;
    let runEnd = 0;
    let textEnd = -1;
    for (let at = 0; at < publishes.length; at++) {
      if (at === runEnd) {
        texts.begin(publishes, at);
        runEnd += texts.count;
        textEnd = texts.isWritten ? 0 : -1;
      }
      const publish = publishes[at]!;
      const textAt = textEnd;
      if (textAt >= 0) textEnd += (publish.message.body as string).length;
      if (publish.signal !== undefined && rejectIfAborted(publish)) continue;
      try {
        const { route, view } = this.resolve(publish.to, publish.message, textAt);
        if (route.unroutable) {
          this.#answerLater(publish, publish.to.mandatory ? unroutable(publish.to) : null);
          continue;
        }
        // Of one that only subscribers get there is nothing in the batch.
        if (route.targets === null) this.#answerLater(publish, null);
        else sent.push(publish);
        this.#session.publish(batch, route, view);
      } catch (error) {
        this.#answerLater(publish, brokerFailure(error));
      }
    }
    const settled: Settling[] = [];
    for (const settling of settlings) {
      const { session, tag, requeue } = settling;
      const before = batch.items;
      if (requeue) session.reject(batch, tag, false, true);
      else session.ack(batch, tag, false);
      if (batch.items > before) settled.push(settling);
      else settling.done(lostDelivery());
    }
    for (const acknowledger of this.#acknowledgers.splice(0)) acknowledger.acknowledge(batch);
    if (batch.items > 0) {
      this.#open += 1;
      batch.commit<Committed>(this, { publishes: sent, settlings: settled });
    }
    this.#keepAlive();
  }

  #write(view: MessageView, body: Uint8Array | string): void {
    view.bodyStart = 0;
    view.bodyEnd = typeof body === 'string' ? this.#texts.write(body) : -1;
    if (view.bodyEnd >= 0) {
      view.body = this.#texts.buffer;
      return;
    }
    view.body = asBuffer(body);
    view.bodyEnd = view.body.length;
  }

  #keepAlive(): void {
    if (this.#open > 0 || this.#publishes.length > 0) this.#alive.ref();
    else this.#alive.unref();
  }

  /** Not within the flush: whoever publishes on at once would keep the event loop there for ever. */
  #answerLater(publish: Publish, error: PostriderError | null): void {
    if (this.#answers.length === 0) {
      this.#open += 1;
      setImmediate(this.#answer);
    }
    this.#answers.push({ publish, error });
  }

  #answerAll(): void {
    const answers = this.#answers;
    this.#answers = [];
    for (const { publish, error } of answers) {
      if (error === null) publish.resolve();
      else publish.reject(error);
    }
    this.#told();
  }

  #schedule(): void {
    if (this.#due) return;
    this.#due = true;
    // Behind all that the turn's promises lead to: a handler's end, and the next one's, share a batch.
    if (this.#flushes < mostFlushesATurn) process.nextTick(this.#flush);
    // Answers come within the turn where no disk is waited for: who publishes again at each would keep the event loop there for ever.
    else setImmediate(this.#flush);
  }

  #flushDue(): void {
    this.#flushes += 1;
    // Not in every turn: most flush once.
    if (this.#flushes === mostFlushesATurn / 2) setImmediate(this.#turned);
    this.flush();
  }

  #take(): Committed {
    const { pressure } = this.#broker;
    const settlings = this.#settlings;
    if (settlings.length > 0) this.#settlings = [];
    if (pressure.blocked !== null || pressure.behind || this.#pause !== null) return { publishes: [], settlings };
    const publishes = this.#publishes;
    if (publishes.length > 0) this.#publishes = [];
    return { publishes, settlings };
  }

  /** What waits for space and was aborted holds no memory. Once for many signals: each publish may have its own. */
  #sweepSoon(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    setImmediate(() => {
      this.#sweeping = false;
      this.#publishes = this.#publishes.filter((publish) => !rejectIfAborted(publish));
      this.#keepAlive();
    });
  }

  #told(): void {
    this.#open -= 1;
    if (this.#open > 0) return;
    this.#keepAlive();
    for (const told of this.#idle.splice(0)) told();
  }

  /** Publishes are the first items of a batch, in order. Rejects what was refused; what found no space waits for it, and is answered. */
  #refused(publishes: readonly Publish[], outcomes: readonly ItemOutcome[]): Set<Publish> {
    const again = new Set<Publish>();
    for (const { item, outcome, reason } of outcomes) {
      const publish = publishes[item];
      if (publish === undefined || outcome !== 'refused') continue;
      if (rejectIfAborted(publish)) continue;
      if (reason === 'full') again.add(publish);
      else publish.reject(refusal(reason, publish.to, publish.message, this.#session.vhost));
    }
    if (again.size === 0) return again;
    this.#publishes = [...again, ...this.#publishes];
    this.#pause ??= setTimeout(() => {
      this.#pause = null;
      this.resume();
    }, fullPauseMs);
    return again;
  }
}

/** Settlements stand in a batch behind so many publishes. Their messages come again. */
function tellLost(settlings: readonly Settling[], publishes: number, outcomes: readonly ItemOutcome[]): void {
  for (const { item, outcome } of outcomes) {
    if (outcome === 'stale') settlings[item - publishes]?.done(lostDelivery());
  }
}

/** True: it was, and is not stored. */
function rejectIfAborted({ signal, reject }: Publish): boolean {
  if (signal?.aborted !== true) return false;
  reject(aborted(signal, 'the publish'));
  return true;
}

function asBuffer(body: Uint8Array | string): Buffer {
  if (typeof body === 'string') return Buffer.from(body);
  return Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}
