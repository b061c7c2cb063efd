import type { BenchResult, MetricResult } from './result.ts';
import { figureText } from './table.ts';

/** One bar group: how many times better than the reference each contender is. */
interface Group {
  label: string;
  bars: { name: string; better: number; ratio: string; figure: string }[];
  goals: { tier: string; better: number }[];
}

const width = 860;
const labelWidth = 300;
const valueWidth = 150;
const barHeight = 14;
const groupGap = 12;
const top = 84;
const plotWidth = width - labelWidth - valueWidth;

/**
 * A chart of ratios for the README: the reference = 1, to the right is better, latency turned round accordingly. The axis is
 * logarithmic, since ratios multiply: twice as good is as far from 1 as half as good. Returns nothing where no ratio is known.
 */
export function formatChart(result: BenchResult): string | undefined {
  const { reference } = result;
  const names = result.contenders.map(({ name }) => name).filter((name) => name !== reference.name);
  const groups = result.rows.flatMap((row) =>
    row.metrics.flatMap((metric) => groupOf(row.title, metric, names, row.metrics.length > 1)),
  );
  if (groups.length === 0) return undefined;
  const values = groups.flatMap(({ bars, goals }) => [...bars, ...goals].map(({ better }) => better));
  const scale = new LogScale(Math.min(0.8, ...values), Math.max(2, ...values));

  let y = top;
  const body: string[] = [];
  for (const group of groups) {
    const height = group.bars.length * barHeight;
    const middle = y + height / 2;
    body.push(
      `<text class="label" x="${labelWidth - 12}" y="${middle + 4}" text-anchor="end">${escape(group.label)}</text>`,
    );
    for (const [index, bar] of group.bars.entries()) body.push(...barShapes(bar, names, y + index * barHeight, scale));
    for (const goal of group.goals) {
      const x = scale.x(goal.better).toFixed(1);
      body.push(`<path class="goal ${goal.tier}" d="M${x} ${y - 3}V${y + height + 3}"/>`);
    }
    y += height + groupGap;
  }
  const bottom = y;
  const axis = scale.ticks().flatMap((tick) => {
    const x = scale.x(tick).toFixed(1);
    return [
      `<path class="${tick === 1 ? 'one' : 'grid'}" d="M${x} ${top - 8}V${bottom}"/>`,
      `<text class="tick" x="${x}" y="${bottom + 16}" text-anchor="middle">${tick} x</text>`,
    ];
  });
  const height = bottom + 58;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Times better than ${escape(reference.label)}, by load">`,
    style,
    `<text class="title" x="20" y="30">${escape(result.title)}: times ${escape(reference.label)}</text>`,
    `<text class="note" x="20" y="50">${escape(subtitle(result))}</text>`,
    ...legendShapes(names),
    ...axis,
    ...body,
    `<text class="note" x="20" y="${height - 14}">${escape(reference.label)} = 1 on a logarithmic axis; to the right is better (latency turned round). Medians of one run, brokers turn by turn.</text>`,
    '</svg>',
    '',
  ].join('\n');
}

function groupOf(title: string, metric: MetricResult, names: string[], several: boolean): Group[] {
  const turn = (ratio: number): number => (metric.better === 'higher' ? ratio : 1 / ratio);
  const bars = names.flatMap((name) => {
    const ratio = metric.ratios[name];
    const figure = metric.figures[name];
    if (ratio === undefined || figure === undefined || !(ratio > 0)) return [];
    return [{ name, better: turn(ratio), ratio: `${digits(turn(ratio))} x`, figure: figureOf(metric, figure.median) }];
  });
  if (bars.length === 0) return [];
  const goals = metric.goals.flatMap(({ ratio, tier }) => (ratio === undefined ? [] : [{ tier, better: turn(ratio) }]));
  return [{ label: several ? `${metric.label} ${title}` : title, bars, goals }];
}

function barShapes(bar: Group['bars'][number], names: string[], y: number, scale: LogScale): string[] {
  const [from, to] = [scale.x(1), scale.x(bar.better)];
  const left = Math.min(from, to);
  const length = Math.max(1, Math.abs(to - from));
  const shade = `c${Math.min(names.indexOf(bar.name), 3)}`;
  return [
    `<rect class="${shade}" x="${left.toFixed(1)}" y="${y + 1}" width="${length.toFixed(1)}" height="${barHeight - 2}" rx="2"/>`,
    `<text class="value" x="${width - 88}" y="${y + barHeight - 3}" text-anchor="end">${escape(bar.ratio)}</text>`,
    `<text class="note" x="${width - 12}" y="${y + barHeight - 3}" text-anchor="end">${escape(bar.figure)}</text>`,
  ];
}

function legendShapes(names: string[]): string[] {
  const shapes: string[] = [];
  let x = 20;
  for (const [index, name] of names.entries()) {
    shapes.push(`<rect class="c${Math.min(index, 3)}" x="${x}" y="60" width="10" height="10" rx="2"/>`);
    shapes.push(`<text class="note" x="${x + 15}" y="69">${escape(name)}</text>`);
    x += 40 + name.length * 7;
  }
  shapes.push(`<path class="goal required" d="M${x} 59V71"/><text class="note" x="${x + 7}" y="69">required</text>`);
  shapes.push(`<path class="goal target" d="M${x + 72} 59V71"/><text class="note" x="${x + 79}" y="69">target</text>`);
  return shapes;
}

function subtitle({ machine, contenders, reference, date }: BenchResult): string {
  const { among } = reference;
  const peers =
    among === undefined
      ? `${reference.label} ${contenders.find(({ name }) => name === reference.name)?.version ?? ''}`
      : contenders.flatMap(({ name, version }) => (among.includes(name) ? `${name} ${version}` : [])).join(', ');
  const machineText = `${machine.cores} x ${machine.cpu}, Node ${machine.node}`;
  return `${peers} in the same run · ${machineText} · ${date.slice(0, 10)}`;
}

class LogScale {
  readonly #from: number;
  readonly #to: number;

  constructor(min: number, max: number) {
    this.#from = Math.log(min * 0.9);
    this.#to = Math.log(max * 1.1);
  }

  x(value: number): number {
    return labelWidth + ((Math.log(value) - this.#from) / (this.#to - this.#from)) * plotWidth;
  }

  ticks(): number[] {
    const candidates = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
    return candidates.filter((tick) => Math.log(tick) >= this.#from && Math.log(tick) <= this.#to);
  }
}

function figureOf(metric: MetricResult, value: number): string {
  const plain = ['ms', 'KB', 'MB', '%'].includes(metric.unit);
  return plain ? `${figureText(value)} ${metric.unit}` : `${figureText(value)}/s`;
}

function digits(value: number): string {
  if (value >= 9.95) return value.toFixed(0);
  return value.toFixed(value >= 1 ? 1 : 2);
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

// No background of its own. The first colours can be read on white and on black, for renderers that know no media queries.
const style = `<style>
text { font: 12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #768390; }
.title { font-size: 16px; font-weight: 600; }
.label { font-size: 13px; }
.value { font-weight: 600; }
.note, .tick { font-size: 11px; }
.grid { stroke: #8b949e; stroke-opacity: .25; }
.one { stroke: #8b949e; stroke-width: 1.5; }
.goal { fill: none; stroke-width: 2; }
.required { stroke: #e5534b; }
.target { stroke: #986ee2; stroke-dasharray: 3 2; }
.c0 { fill: #2f81f7; } .c1 { fill: #d29922; } .c2 { fill: #3fb950; } .c3 { fill: #8b949e; }
@media (prefers-color-scheme: light) {
  text { fill: #57606a; }
  .title, .label, .value { fill: #24292f; }
}
@media (prefers-color-scheme: dark) {
  text { fill: #9da7b3; }
  .title, .label, .value { fill: #e6edf3; }
}
</style>`;
