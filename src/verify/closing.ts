/** The rules that need the whole history: what never came, what nobody published, effects by outcome. */
import type { Findings } from './findings.ts';
import { FLAG, MESSAGE, PLACE } from './ledger.ts';
import type { Ledger, Outcome, QueueBook } from './ledger.ts';
import type { Counts, Guarantee } from './verdict.ts';

export interface ClosingRules {
  readonly guarantee: Guarantee;
  readonly everySettled: boolean;
  /** Undefined: all. */
  readonly effectQueues: ReadonlySet<string> | undefined;
}

export function close(ledger: Ledger, findings: Findings, counts: Counts, rules: ClosingRules): void {
  countOutcomes(ledger, counts);
  for (let place = 0; place < ledger.places.length; place++) {
    const message = ledger.places.get(place, PLACE.message);
    const queue = ledger.queueBook(ledger.places.get(place, PLACE.queue));
    const outcome = ledger.outcome(message);
    const delivered = ledger.places.get(place, PLACE.deliveries) > 0;
    const effects = ledger.places.get(place, PLACE.effects);
    if (outcome === 'never published' || !ledger.has(place, FLAG.routed)) {
      if (delivered || effects > 0) reportPhantom(ledger, findings, message, queue, delivered);
      continue;
    }
    if (delivered) queue.counts.received++;
    if (outcome === 'confirmed' && ledger.has(place, FLAG.expected)) countExpected(ledger, place, queue, delivered);
    const judged: Judged = { ledger, findings, place, queue, outcome, id: ledger.idOf(message) };
    if (rules.guarantee === 'at-most-once') judgeAtMostOnce(judged, delivered);
    else if (rules.guarantee === 'at-least-once') judgeAtLeastOnce(judged, rules.everySettled);
    else if (rules.effectQueues?.has(queue.name) ?? true) judgeEffects(judged, effects);
    else judgeAtLeastOnce(judged, rules.everySettled);
  }
}

interface Judged {
  readonly ledger: Ledger;
  readonly findings: Findings;
  readonly place: number;
  readonly queue: QueueBook;
  readonly outcome: Outcome;
  readonly id: string;
}

function countOutcomes(ledger: Ledger, counts: Counts): void {
  let answers = 0;
  for (let message = 0; message < ledger.messages.length; message++) {
    const outcome = ledger.outcome(message);
    if (outcome !== 'never published') counts[outcome]++;
    answers += ledger.messages.get(message, MESSAGE.oks) + ledger.messages.get(message, MESSAGE.rejections);
  }
  // A producer that was killed left no word of its last attempts; one that gave up may have been answered late.
  counts.unknownAttempts = Math.max(counts.unknownAttempts, counts.attempts - answers);
}

function countExpected(ledger: Ledger, place: number, queue: QueueBook, delivered: boolean): void {
  queue.counts.expected++;
  if (ledger.has(place, FLAG.owed)) queue.counts.undelivered++;
  else if (!delivered) queue.counts.removed++;
}

function reportPhantom(
  ledger: Ledger,
  findings: Findings,
  message: number,
  queue: QueueBook,
  delivered: boolean,
): void {
  const id = ledger.idOf(message);
  const seen = delivered ? 'was delivered' : 'had an effect';
  const why = ledger.messages.get(message, MESSAGE.attempts) === 0 ? 'nobody published it' : 'it was not routed there';
  findings.report('phantom', queue, id, () => `${id} ${seen} in ${queue.name}, but ${why}.`);
}

function judgeAtMostOnce({ findings, queue, outcome, id }: Judged, delivered: boolean): void {
  if (outcome !== 'rejected' || !delivered) return;
  findings.report('rejectedDelivered', queue, id, () => `${id} was rejected, but delivered in ${queue.name}.`);
}

function judgeAtLeastOnce({ ledger, findings, place, queue, outcome, id }: Judged, everySettled: boolean): void {
  if (outcome !== 'confirmed' || !ledger.has(place, FLAG.expected)) return;
  if (ledger.has(place, FLAG.owed)) {
    findings.report(
      'lost',
      queue,
      id,
      () => `${id} was confirmed and routed to ${queue.name}, but neither delivered there nor lawfully removed.`,
    );
  } else if (everySettled && ledger.has(place, FLAG.open)) {
    findings.report(
      'lost',
      queue,
      id,
      () => `${id} was confirmed and delivered in ${queue.name}, but neither settled there nor delivered again.`,
    );
  }
}

function judgeEffects({ ledger, findings, place, queue, outcome, id }: Judged, effects: number): void {
  // More than one copy is here only by dead-lettering: from several queues, or around a cycle that removed the others.
  const allowed = Math.max(1, ledger.places.get(place, PLACE.copies) - ledger.places.get(place, PLACE.removals));
  const of = (count: number): string => `${count} ${count === 1 ? 'effect' : 'effects'}`;
  if (outcome === 'rejected') {
    if (effects === 0) return;
    const sentence = () => `${id} was rejected, but had ${of(effects)} in ${queue.name}.`;
    findings.report('effectOfRejected', queue, id, sentence, effects);
  } else if (effects > allowed) {
    const sentence = () => `${id} (${outcome}) had ${of(effects)} in ${queue.name}.`;
    findings.report('effectRepeated', queue, id, sentence, effects - allowed);
  } else if (effects === 0 && outcome === 'confirmed') {
    if (!ledger.has(place, FLAG.expected) || ledger.has(place, FLAG.excused)) return;
    findings.report('effectMissing', queue, id, () => `${id} was confirmed, but had no effect in ${queue.name}.`);
  }
}
