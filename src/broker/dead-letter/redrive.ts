/**
 * Sends dead letters back to the queues that they came from: each is taken out and appended there in one atomic commit, as it was before it
 * died. What is not wanted, or has nowhere to go, is held until the end and given back then, or it would be taken again: not a
 * delivery of it.
 */
import type { DeliveryView, EngineQueue, ItemOutcome, Lease, MessageView } from '../../engine/engine.ts';
import { readHeaders, readStringProperty, rewriteProperties } from '../../format/basic-properties.ts';
import type { FieldTable, FieldValue } from '../../format/field-table.ts';
import type { BrokerContext } from '../context.ts';
import { readPriority } from '../publish-properties.ts';
import type { Queue } from '../queue.ts';
import type { Vhost } from '../vhost.ts';

/** Messages in one commit, where no rate is asked for. */
const mostMessages = 100;
/** What tells of deaths and attempts, of this broker's or the TypeScript API's; CC and BCC: it goes to one queue. */
const mark = /^(x-death|x-(first|last)-death-.*|x-delivery-count|x-dead-letter-.*|x-attempt|CC|BCC)$/s;
/** Bytes of them, but for one message more. */
const mostBytes = 1024 * 1024;

export interface RedriveRequest {
  readonly queue: Queue;
  readonly limit: number;
  /** Infinity: as fast as it goes. */
  readonly ratePerSecond: number;
  /** Null: whichever. */
  readonly reason: string | null;
  readonly origin: string | null;
  readonly messageId: string | null;
  /** Whoever asked is there no more. */
  readonly isOver: () => boolean;
}

export interface RedriveResult {
  readonly moved: number;
  /** Not wanted, without an origin that is there, or refused by it: they stay. */
  readonly stayed: number;
  /** A full disk, or the end of who asked, ended it early. */
  readonly stopped: 'full' | 'gone' | null;
}

interface Letter {
  readonly number: number;
  readonly to: Queue;
  readonly view: MessageView;
  readonly bytes: number;
}

export async function redrive(context: BrokerContext, vhost: Vhost, request: RedriveRequest): Promise<RedriveResult> {
  const run = new Redrive(context, vhost, request);
  return run.run();
}

class Redrive {
  readonly #context: BrokerContext;
  readonly #vhost: Vhost;
  readonly #request: RedriveRequest;
  readonly #from: EngineQueue;
  readonly #lease: Lease;
  #moved = 0;
  #stayed = 0;
  #stopped: RedriveResult['stopped'] = null;

  constructor(context: BrokerContext, vhost: Vhost, request: RedriveRequest) {
    this.#context = context;
    this.#vhost = vhost;
    this.#request = request;
    this.#from = request.queue.handle!;
    this.#lease = context.engine.lease(false);
  }

  async run(): Promise<RedriveResult> {
    const { engine } = this.#context;
    try {
      let { ready } = await engine.stats(this.#from);
      let more = true;
      while (more && ready > 0 && this.#moved < this.#request.limit && this.#goesOn()) {
        const most = Math.min(this.#atOnce(), ready, this.#request.limit - this.#moved);
        const { letters, taken } = await this.#take(most);
        ready -= taken;
        more = taken > 0;
        await this.#send(letters);
        if (letters.length > 0 && ready > 0) await this.#pace();
      }
    } finally {
      // What is held still goes back to its place.
      await engine.release(this.#lease);
    }
    return { moved: this.#moved, stayed: this.#stayed, stopped: this.#stopped };
  }

  #goesOn(): boolean {
    if (this.#stopped === null && (this.#request.isOver() || this.#from.deleted)) this.#stopped = 'gone';
    return this.#stopped === null;
  }

  #atOnce(): number {
    return this.#request.ratePerSecond === Infinity ? mostMessages : 1;
  }

  async #take(most: number): Promise<{ readonly letters: readonly Letter[]; readonly taken: number }> {
    const { engine } = this.#context;
    const letters: Letter[] = [];
    let taken = 0;
    let bytes = 0;
    while (taken < most && bytes < mostBytes) {
      const found = await engine.take(this.#from, this.#lease, false, {
        deliver: (delivery) => {
          const letter = this.#letterOf(delivery);
          if (letter === null) this.#stayed++;
          else {
            letters.push(letter);
            bytes += letter.bytes;
          }
          return true;
        },
        cancelled: () => undefined,
      });
      if (!found) break;
      taken++;
    }
    return { letters, taken };
  }

  /** Null: it stays. */
  #letterOf({ number, head, propertiesStart, propertiesEnd, body, bodyStart, bodyEnd }: DeliveryView): Letter | null {
    const properties = Buffer.from(head.subarray(propertiesStart, propertiesEnd));
    const headers = readHeaders(properties, 0, properties.length) ?? null;
    const death = deathOf(headers);
    const { reason, origin, messageId } = this.#request;
    if (death === null || death.queue === this.#request.queue.name) return null;
    if ((reason !== null && reason !== death.reason) || (origin !== null && origin !== death.queue)) return null;
    if (messageId !== null && messageId !== readStringProperty(properties, 0, properties.length, 'messageId'))
      return null;
    const to = this.#vhost.graph.queues.get(death.queue);
    if (to === undefined || to.handle === null || to.owner !== null) return null;
    const revived = rewriteProperties(properties, 0, properties.length, { headers: withoutDeath(headers!) });
    const copy = Buffer.from(body.subarray(bodyStart, bodyEnd));
    const view: MessageView = {
      head: revived,
      envelopeStart: 0,
      envelopeEnd: 0,
      propertiesStart: 0,
      propertiesEnd: revived.length,
      body: copy,
      bodyStart: 0,
      bodyEnd: copy.length,
      expiresAt: 0,
      priority: readPriority(revived, 0, revived.length),
      dueAt: 0,
      identity: null,
    };
    return { number, to, view, bytes: revived.length + copy.length };
  }

  async #send(letters: readonly Letter[]): Promise<void> {
    if (letters.length === 0) return;
    const refused = await this.#commit(letters);
    if (refused === null) {
      this.#moved += letters.length;
    } else if (refused === 'full') {
      this.#stopped = 'full';
    } else if (letters.length === 1) {
      this.#stayed++;
    } else {
      for (const letter of letters) if (this.#stopped === null) await this.#send([letter]);
    }
  }

  /** Null: all of them are where they belong. Otherwise none is. */
  #commit(letters: readonly Letter[]): Promise<'full' | 'refused' | null> {
    const { engine } = this.#context;
    return new Promise((resolve, reject) => {
      const batch = engine.begin(engine.capabilities.atomic);
      for (const { to, view, number } of letters) {
        const targets = to.deleted ? null : this.#vhost.routes.targets([to], '', to.name);
        if (targets !== null) {
          batch.append(targets, view);
          batch.settle(this.#lease, this.#from, number, 1, 'ack');
        }
      }
      batch.commit(
        {
          committed: (_token, outcomes: readonly ItemOutcome[] | null) => {
            if (outcomes === null || outcomes.length === 0) resolve(null);
            else resolve(outcomes.some(({ reason }) => reason === 'full') ? 'full' : 'refused');
          },
          failed: (_token, error) => reject(error),
        },
        undefined,
      );
    });
  }

  /** Waits before the next one, no longer than a moment at a time: whoever asked may go. */
  async #pace(): Promise<void> {
    const { clock } = this.#context;
    const until = clock.now() + 1000 / this.#request.ratePerSecond;
    for (let left = until - clock.now(); left > 0 && this.#goesOn(); left = until - clock.now()) {
      await new Promise<void>((resolve) => clock.after(Math.min(left, 500), resolve));
    }
  }
}

/** Where and why it died first, as the broker says it or else the TypeScript API. */
function deathOf(headers: FieldTable | null): { readonly queue: string; readonly reason: string } | null {
  const text = (name: string): string | null => {
    const value: FieldValue | undefined = headers?.[name];
    return typeof value === 'string' ? value : null;
  };
  const queue = text('x-dead-letter-queue') ?? text('x-first-death-queue');
  const reason = text('x-dead-letter-reason') ?? text('x-first-death-reason');
  return queue === null ? null : { queue, reason: reason ?? '' };
}

function withoutDeath(headers: FieldTable): Record<string, undefined> {
  const marks = Object.keys(headers).filter((name) => mark.test(name));
  return Object.fromEntries(marks.map((name) => [name, undefined]));
}
