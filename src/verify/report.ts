/** Verdicts as plain text. Colour is the caller's. */
import type { Guarantee, QueueVerdict, Verdict } from './verdict.ts';

export interface TableOptions {
  /** What the messages are to the reader. Default `messages`. */
  readonly noun?: string;
  /** The heading of the first column. Default `queue`. */
  readonly heading?: string;
  /** Queues to show, in this order, by the name to show. Default: all, by their own names, in order of appearance. */
  readonly queues?: Readonly<Record<string, string>>;
}

/** Shown only where it is not zero in every queue. */
const FAULT_COLUMNS = [
  ['removed', 'removed'],
  ['duplicated', 'duplicated'],
  ['effectRepeated', 'effects repeated'],
  ['rejectedDelivered', 'rejected'],
  ['effectOfRejected', 'effects of rejected'],
  ['phantom', 'phantom'],
  ['corrupted', 'corrupted'],
  ['reordered', 'reordered'],
  ['unflaggedRepeat', 'unflagged'],
  ['resurrected', 'resurrected'],
] as const satisfies readonly (readonly [keyof QueueVerdict, string])[];

/** Confirmed messages whose delivery or effect a queue lost, also where at-most-once allows it. */
export function lostIn(queue: QueueVerdict, guarantee: Guarantee): number {
  return guarantee === 'at-most-once' ? queue.undelivered : queue.lost + queue.effectMissing;
}

/** How many were confirmed, then a row for each queue, then `lost N` over all queues as the last line. */
export function renderTable(verdict: Verdict, options: TableOptions = {}): string {
  const { counts } = verdict;
  const names = options.queues ?? Object.fromEntries(Object.keys(verdict.queues).map((name) => [name, name]));
  const rows = Object.entries(names).flatMap(([name, label]) => {
    const queue = verdict.queues[name];
    return queue === undefined ? [] : [{ label, queue }];
  });
  const extra = FAULT_COLUMNS.filter(([key]) => rows.some(({ queue }) => queue[key] > 0));
  const cells = [
    [options.heading ?? 'queue', 'received', 'redelivered', 'lost', ...extra.map(([, title]) => title)],
    ...rows.map(({ label, queue }) => [
      label,
      ...[queue.received, queue.redelivered, lostIn(queue, verdict.guarantee), ...extra.map(([key]) => queue[key])].map(
        String,
      ),
    ]),
  ];
  const lost = Object.values(verdict.queues).reduce((sum, queue) => sum + lostIn(queue, verdict.guarantee), 0);
  const noun = options.noun ?? 'messages';
  const published = `${noun} confirmed ${counts.confirmed}, unknown ${counts.unknown}, rejected ${counts.rejected}`;
  return [published, '', ...align(cells), '', `lost ${lost}`].join('\n');
}

/** The verdict with its reasons, and each violation that was kept. */
export function renderReport(verdict: Verdict, options: TableOptions = {}): string {
  const headline = `${verdict.guarantee}: ${verdict.verdict.toUpperCase()}`;
  const lines = [headline];
  for (const reason of verdict.reasons) lines.push(`  ${reason}`);
  for (const note of verdict.notes) lines.push(`  note: ${note}`);
  if (verdict.violations.length > 0) lines.push('');
  for (const { rule, sentence, seen } of verdict.violations) {
    lines.push(`${rule}: ${sentence}`);
    for (const event of seen) lines.push(`  ${JSON.stringify(event)}`);
  }
  lines.push('', renderTable(verdict, options));
  return lines.join('\n');
}

/** The first column to the left, numbers to the right. */
function align(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
