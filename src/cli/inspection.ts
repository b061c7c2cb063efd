/** What `inspect` tells of a journal, as lines for a person. */
import type { JournalInspection } from '../engine/local/journal/inspect.ts';
import { mailboxText } from '../broker/subscription/mailbox.ts';
import { readQueueKey } from '../broker/topology-entry.ts';
import { printableLine } from './printable.ts';
import type { Paint } from './terminal.ts';

/** More queues than a screen holds are for --json. */
const shownQueues = 40;

export function renderInspection(report: JournalInspection, paint: Paint): string[] {
  const { segments, checkpoints, queues, damage, tornTail, spares, refusal } = report;
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  const ready = queues.reduce((sum, queue) => sum + queue.ready, 0);
  const delayed = queues.reduce((sum, queue) => sum + queue.delayed, 0);
  const lines = [
    `${report.directory}: journal of format ${report.version}, ${size(bytes)} in ${segments.length} segments`,
  ];

  lines.push('', paint.bold(`segments (${segments.length})`));
  const segmentRows = segments.map((segment) => [
    segment.file,
    size(segment.bytes),
    `${count(segment.groups)} groups`,
    segment.groups === 0 ? '' : `${segment.firstSequence}-${segment.lastSequence}`,
    `${count(segment.live)} alive`,
  ]);
  lines.push(...align(segmentRows));
  if (spares.length > 0) lines.push(`  and ${spares.length} empty, kept for later`);

  lines.push('', paint.bold(`checkpoints (${checkpoints.length})`));
  lines.push(
    ...align(checkpoints.map(({ file, sequence, what }) => [file, `up to group ${sequence}`, what ?? 'whole'])),
  );

  lines.push(
    '',
    paint.bold(
      `queues (${count(queues.length)}), ${count(ready)} messages ready${delayed === 0 ? '' : `, ${count(delayed)} delayed`}`,
    ),
  );
  const largest = [...queues].sort((a, b) => b.ready - a.ready || b.delayed - a.delayed).slice(0, shownQueues);
  lines.push(
    ...align(
      largest.map((queue) => [
        queueName(queue.key),
        `${count(queue.ready)} ready`,
        size(queue.bytes),
        queue.delayed === 0 ? '' : `${count(queue.delayed)} delayed`,
        queue.durable ? 'durable' : 'transient',
      ]),
    ),
  );
  if (queues.length > shownQueues)
    lines.push(`  and ${count(queues.length - shownQueues)} shorter ones; --json lists all`);

  lines.push('');
  if (tornTail !== null) {
    lines.push(
      `torn tail: ${tornTail.file} from byte ${tornTail.at}: a write that a stop cut short, not known to be on disk; serve cuts it off`,
    );
  }
  if (damage.length === 0) lines.push(paint.green('no damage'));
  for (const { file, from, to, what } of damage)
    lines.push(paint.red(`damage: ${file} bytes ${from}-${to}: ${printableLine(what)}`));
  if (refusal !== null) lines.push(paint.red(`serve can't open it: ${printableLine(refusal)}`));
  return lines;
}

/** The vhost is told where it is not the one that is always there. */
function queueName(key: string): string {
  const { vhost, name, owned, mailbox } = readQueueKey(key);
  const told = mailbox ? mailboxText(name) : owned ? `held by exchange ${name}` : name;
  return printableLine(vhost === '/' ? told : `${told} (vhost ${vhost})`);
}

function count(number: number): string {
  return number.toLocaleString('en-US');
}

function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let amount = bytes;
  for (; amount >= 1024 && unit < units.length - 1; unit++) amount /= 1024;
  return `${unit === 0 ? amount : amount.toFixed(1)} ${units[unit]!}`;
}

function align(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>(
    (sofar, row) => row.map((cell, column) => Math.max(cell.length, sofar[column] ?? 0)),
    [],
  );
  return rows.map(
    (row) =>
      `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join('  ')}`,
  );
}
