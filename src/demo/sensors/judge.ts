/** The end of the scene: what the checker says of the histories, and the table. */
import {
  check,
  DEFAULT_MINIMUMS,
  historyFiles,
  lostIn,
  readHistory,
  renderReport,
  type Verdict,
} from '../../verify/index.ts';
import { count } from '../screen.ts';
import { queue } from './field.ts';

export interface Run {
  readonly sensors: number;
  readonly readings: number;
  /** Messages. */
  readonly peakQueue: number;
  /** Null: the system does not tell. */
  readonly peakMemoryBytes: number | null;
}

export function judge(historyDirectory: string, readings: number): Verdict {
  const { confirmed } = DEFAULT_MINIMUMS['at-least-once'];
  return check(readHistory(historyFiles(historyDirectory)), 'at-least-once', {
    everySettled: true,
    keep: 3,
    // A short run on request is judged by what it had.
    minimums: { confirmed: Math.min(confirmed, readings) },
  });
}

/** What broke, if anything did; the table; `lost N` last. */
export function tell(verdict: Verdict, { sensors, peakQueue, peakMemoryBytes }: Run): string[] {
  const { counts, guarantee } = verdict;
  const readings = verdict.queues[queue];
  const rows: [string, string][] = [
    ['sensors', count(sensors)],
    ['readings sent', count(counts.published)],
    ['sent again', count(counts.attempts - counts.published)],
    ['stored (acknowledged)', count(counts.confirmed)],
    ['received', count(readings?.received ?? 0)],
    ['redelivered', count(readings?.redelivered ?? 0)],
    ['peak queue', count(peakQueue)],
  ];
  if (peakMemoryBytes !== null) rows.push(['peak memory', `${count(Math.round(peakMemoryBytes / 2 ** 20))} MiB`]);
  const width = Math.max(...rows.map(([, value]) => value.length));
  const table = rows.map(([what, value]) => `${what.padEnd(22)} ${value.padStart(width)}`);
  const broken = verdict.verdict === 'held' ? [] : [...renderReport(verdict).split('\n'), ''];
  const lost = Object.values(verdict.queues).reduce((sum, each) => sum + lostIn(each, guarantee), 0);
  return [...broken, ...table, '', `lost ${lost}`];
}
