import type { BenchResult, GoalResult, MetricResult, RowResult } from './result.ts';

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow';

/** Puts text in a colour, or leaves it where there is none. */
export type Paint = Readonly<Record<Style, (text: string) => string>>;

/** The result as a table for people. */
export function formatTable(result: BenchResult, paint: Paint): string {
  const names = result.contenders.map(({ name }) => name);
  const [subject = ''] = names;
  const header = ['', '', ...names, 'ratio', 'min-max', 'goal', ''];
  const lines: Cell[][] = [];
  for (const row of result.rows) {
    for (const [index, metric] of row.metrics.entries()) {
      lines.push([
        { text: index === 0 ? row.id : '' },
        { text: metric.label === 'rate' ? metric.unit : `${metric.label}, ${metric.unit}`, style: 'dim' },
        ...names.map((name): Cell => {
          const figure = metric.figures[name];
          return { text: figure === undefined ? '-' : figureText(figure.median), right: true };
        }),
        { text: ratioText(metric, subject), right: true, style: 'bold' },
        { text: spanText(metric, subject), right: true, style: 'dim' },
        { text: metric.goals.map((goal) => goalText(goal, metric.better)).join(', ') },
        verdict(metric.goals),
      ]);
    }
  }
  const table = align([header.map((text): Cell => ({ text, style: 'dim' })), ...lines], paint);
  const failed = result.rows.flatMap((row) => [...problemLines(row, paint), ...remarkLines(row, paint)]);
  return [headline(result), '', ...table, ...(failed.length > 0 ? ['', ...failed] : []), '', legend(result)].join('\n');
}

interface Cell {
  text: string;
  right?: boolean;
  style?: Style;
}

function headline(result: BenchResult): string {
  const { machine, settings, contenders } = result;
  const brokers = contenders.map(({ name, version }) => (version === '' ? name : `${name} ${version}`)).join(', ');
  const rounds = `${settings.rounds} x ${settings.seconds} s`;
  const disk = `${machine.filesystem}, fdatasync of 4 KiB ${machine.fdatasyncMs.toFixed(2)} ms`;
  return `${brokers} · ${machine.cores} x ${machine.cpu} · Node ${machine.node} · ${disk} · ${rounds}`;
}

function legend(result: BenchResult): string {
  const integrity = integrityText(result);
  const { reference } = result;
  const { name: single, among = [single] } = reference;
  const compared = result.contenders.some(({ name }) => among.includes(name));
  return compared
    ? `${integrity} Ratio: median over that of ${reference.label} in this run. Goals: required, (target).`
    : `${integrity} No ratios, for want of ${reference.label} in this run. Goals: required, (target).`;
}

function integrityText({ rows }: BenchResult): string {
  if (rows.some((row) => row.problems.some((problem) => problem.integrity))) {
    return 'MESSAGES WERE LOST OR CHANGED: see above.';
  }
  const checked = rows.flatMap((row) => row.rounds).flatMap(({ sample }) => sample?.integrity?.received ?? 0);
  const messages = checked.reduce((sum, received) => sum + received, 0);
  return messages === 0
    ? 'No message was measured.'
    : `${figureText(messages)} messages checked: each came once, whole and in order.`;
}

function problemLines(row: RowResult, paint: Paint): string[] {
  return row.problems.map(({ contender, round, problem, integrity }) => {
    const what = integrity ? 'INTEGRITY' : 'failed';
    return paint.red(`${row.id}, ${contender}, round ${round}: ${what}: ${problem}`);
  });
}

function remarkLines(row: RowResult, paint: Paint): string[] {
  return row.rounds.flatMap(({ contender, round, sample }) =>
    sample?.remark === undefined ? [] : [paint.yellow(`${row.id}, ${contender}, round ${round}: ${sample.remark}`)],
  );
}

function verdict(goals: readonly GoalResult[]): Cell {
  if (goals.every((goal) => goal.met === undefined)) return { text: '' };
  const required = goals.filter((goal) => goal.tier === 'required');
  if (required.some((goal) => goal.met === false)) return { text: 'missed', style: 'red' };
  if (goals.every((goal) => goal.met === true)) return { text: 'met', style: 'green' };
  return { text: required.length > 0 ? 'met (target missed)' : 'target missed', style: 'yellow' };
}

function goalText(goal: GoalResult, better: MetricResult['better']): string {
  const sign = better === 'higher' ? '>=' : '<=';
  const text = goal.ratio === undefined ? `${sign} ${figureText(goal.value ?? 0)}` : `${sign} ${goal.ratio} x`;
  return goal.tier === 'target' ? `(${text})` : text;
}

function ratioText(metric: MetricResult, subject: string): string {
  const ratio = metric.ratios[subject];
  return ratio === undefined ? '' : `${ratio.toFixed(ratio < 1 ? 2 : 1)} x`;
}

function spanText(metric: MetricResult, subject: string): string {
  const figure = metric.figures[subject];
  return figure === undefined || figure.min === figure.max ? '' : `${figureText(figure.min)}-${figureText(figure.max)}`;
}

/** Three digits are all that a measurement on a shared machine can bear. */
export function figureText(value: number): string {
  if (value >= 999_500) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 10_000) return `${(value / 1000).toFixed(value >= 99_950 ? 0 : 1)} k`;
  if (value >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : 2);
}

function align(lines: readonly Cell[][], paint: Paint): string[] {
  const widths: number[] = [];
  for (const line of lines) {
    for (const [column, { text }] of line.entries()) widths[column] = Math.max(widths[column] ?? 0, text.length);
  }
  const rightAligned = (lines[1] ?? []).map((cell) => cell.right === true);
  return lines.map((line) =>
    line
      .map(({ text, style }, column) => {
        const width = widths[column] ?? 0;
        const padded = rightAligned[column] === true ? text.padStart(width) : text.padEnd(width);
        return style === undefined || text === '' ? padded : paint[style](padded);
      })
      .join('  ')
      .trimEnd(),
  );
}
