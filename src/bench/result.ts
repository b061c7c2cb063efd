import type { Machine } from './machine.ts';
import { median } from './median.ts';
import type { Running } from './broker.ts';
import type { Goal, Metric, Row, Sample } from './row.ts';
import type { Reference } from './suite.ts';

/** The whole outcome of a run, as it is written to JSON. */
export interface BenchResult {
  format: 1;
  /** What was measured, in words. */
  title: string;
  reference: Reference;
  date: string;
  machine: Machine;
  settings: { quick: boolean; rounds: number; seconds: number; warmupSeconds: number; messages: number };
  /** Who was measured, with versions; the first is the subject, the others are what it is compared with. */
  contenders: { name: string; version: string }[];
  rows: RowResult[];
}

export interface RowResult {
  id: string;
  title: string;
  kind: Row['kind'];
  metrics: MetricResult[];
  /** Every round as measured, in the order in which they ran. */
  rounds: { contender: string; round: number; sample?: Sample; error?: string }[];
  /** What went wrong with the messages themselves, or with a round as a whole. */
  problems: { contender: string; round: number; problem: string; integrity: boolean }[];
}

export interface MetricResult {
  id: string;
  label: string;
  unit: Metric['unit'];
  better: Metric['better'];
  figures: Record<string, Figure>;
  /** The contender's median over the reference's, for everyone but a reference that is a single one. */
  ratios: Record<string, number>;
  goals: GoalResult[];
}

export interface Figure {
  median: number;
  min: number;
  max: number;
}

export interface GoalResult extends Goal {
  /** Undefined where it could not be judged, for want of a reference say. */
  met?: boolean;
}

/** Medians, ratios and goals of one row. */
export function judgeRow<R extends Running>(
  row: Row<R>,
  subject: string,
  reference: Reference,
  rounds: RowResult['rounds'],
): RowResult {
  const names = [...new Set(rounds.map((round) => round.contender))];
  const metrics = row.metrics.map((metric) => judgeMetric(metric, subject, reference, names, rounds));
  const problems: RowResult['problems'] = [];
  for (const { contender, round, sample, error } of rounds) {
    if (error !== undefined) problems.push({ contender, round, problem: error, integrity: false });
    const problem = sample?.integrity?.problem ?? '';
    if (problem !== '') problems.push({ contender, round, problem, integrity: true });
  }
  return { id: row.id, title: row.title, kind: row.kind, metrics, rounds, problems };
}

function judgeMetric(
  metric: Metric,
  subject: string,
  reference: Reference,
  names: string[],
  rounds: RowResult['rounds'],
): MetricResult {
  const { id, label, unit, better } = metric;
  const figures: Record<string, Figure> = {};
  for (const name of names) {
    const values = rounds
      .filter((round) => round.contender === name)
      .map((round) => round.sample?.values[id])
      .filter((value) => value !== undefined && Number.isFinite(value)) as number[];
    if (values.length > 0) {
      figures[name] = { median: median(values), min: Math.min(...values), max: Math.max(...values) };
    }
  }
  const one = bestOf(reference, better, figures);
  const ratios: Record<string, number> = {};
  for (const [name, figure] of Object.entries(figures)) {
    if (one !== undefined && name !== reference.name && one.median > 0) ratios[name] = figure.median / one.median;
  }
  const goals = metric.goals.map((goal) => {
    const measured = goal.ratio === undefined ? figures[subject]?.median : ratios[subject];
    const wanted = goal.ratio ?? goal.value;
    if (measured === undefined || wanted === undefined) return goal;
    return { ...goal, met: better === 'higher' ? measured >= wanted : measured <= wanted };
  });
  return { id, label, unit, better, figures, ratios, goals };
}

function bestOf(
  { name, among = [name] }: Reference,
  better: Metric['better'],
  figures: Readonly<Record<string, Figure>>,
): Figure | undefined {
  const sign = better === 'higher' ? 1 : -1;
  return among
    .flatMap((peer) => figures[peer] ?? [])
    .reduce<Figure | undefined>(
      (best, figure) => (best === undefined || sign * figure.median > sign * best.median ? figure : best),
      undefined,
    );
}
