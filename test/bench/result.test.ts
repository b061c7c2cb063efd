import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatChart } from '../../src/bench/chart.ts';
import { parsePeer } from '../../src/bench/remote.ts';
import { portIn, portsIn } from '../../src/bench/postrider.ts';
import { judgeRow, type BenchResult, type RowResult } from '../../src/bench/result.ts';
import { rows } from '../../src/bench/rows.ts';
import { figureText, formatTable, type Paint } from '../../src/bench/table.ts';

const reference = { name: 'rabbitmq', label: 'RabbitMQ' };
const plain = (text: string): string => text;
const paint: Paint = { bold: plain, dim: plain, red: plain, green: plain, yellow: plain };

function round(contender: string, index: number, values: Record<string, number>): RowResult['rounds'][number] {
  return { contender, round: index, sample: { values, detail: {} } };
}

function judged(id: string, rounds: RowResult['rounds']): RowResult {
  const row = rows.find((candidate) => candidate.id === id);
  assert.ok(row);
  return judgeRow(row, 'postrider', reference, rounds);
}

function resultOf(...judgedRows: RowResult[]): BenchResult {
  return {
    format: 1,
    title: 'AMQP',
    reference,
    date: '2026-01-01T00:00:00.000Z',
    machine: { cpu: 'A & B', cores: 2, memoryGb: 8, kernel: 'Linux', node: '20', filesystem: 'ext', fdatasyncMs: 0.1 },
    settings: { quick: false, rounds: 3, seconds: 5, warmupSeconds: 2, messages: 1 },
    contenders: [
      { name: 'postrider', version: '' },
      { name: 'rabbitmq', version: '3.10.8' },
    ],
    rows: judgedRows,
  };
}

test('ids are unique and every metric is named once', () => {
  assert.equal(new Set(rows.map((row) => row.id)).size, rows.length);
  for (const row of rows) assert.equal(new Set(row.metrics.map((metric) => metric.id)).size, row.metrics.length);
});

test('ratios are of medians and goals are judged by them', () => {
  const row = judged('pair-100b', [
    round('rabbitmq', 1, { rate: 50_000 }),
    round('postrider', 1, { rate: 500_000 }),
    round('rabbitmq', 2, { rate: 40_000 }),
    round('postrider', 2, { rate: 700_000 }),
    round('rabbitmq', 3, { rate: 60_000 }),
    round('postrider', 3, { rate: 510_000 }),
  ]);
  const [metric] = row.metrics;
  assert.equal(metric?.ratios.postrider, 510_000 / 50_000);
  assert.deepEqual(
    metric.goals.map(({ tier, met }) => [tier, met]),
    [
      ['required', true],
      ['target', false],
    ],
  );
  assert.deepEqual(metric.figures.postrider, { median: 510_000, min: 500_000, max: 700_000 });
});

test('for latency less is better', () => {
  const row = judged('latency-10k', [
    round('rabbitmq', 1, { p50: 0.4, p99: 2 }),
    round('postrider', 1, { p50: 0.1, p99: 1.9 }),
  ]);
  assert.deepEqual(
    row.metrics.map(({ goals }) => goals.map(({ met }) => met)),
    [
      [true, true],
      [false, false],
    ],
  );
});

test('without the reference there are no ratios, and ratio goals stay open', () => {
  const row = judged('pair-100b', [round('postrider', 1, { rate: 500_000 })]);
  assert.deepEqual(row.metrics[0]?.ratios, {});
  assert.equal(row.metrics[0]?.goals[0]?.met, undefined);
  assert.equal(formatChart(resultOf(row)), undefined);
});

test('a failed round and a lost message are problems of different kinds', () => {
  const findings = { lost: 1, duplicated: 0, reordered: 0, altered: 0, first: 'x' };
  const integrity = { sent: 2, expected: 2, received: 1, redelivered: 0, findings, problem: 'lost 1' };
  const row = judged('pair-100b', [
    { contender: 'postrider', round: 1, error: 'gone' },
    { contender: 'postrider', round: 2, sample: { values: { rate: 1 }, detail: {}, integrity } },
  ]);
  assert.deepEqual(
    row.problems.map(({ problem, integrity: isIntegrity }) => [problem, isIntegrity]),
    [
      ['gone', false],
      ['lost 1', true],
    ],
  );
  assert.match(formatTable(resultOf(row), paint), /INTEGRITY: lost 1/);
});

test('table and chart show what was measured, with markup escaped', () => {
  const row = judged('pair-100b', [round('rabbitmq', 1, { rate: 50_000 }), round('postrider', 1, { rate: 500_000 })]);
  const table = formatTable(resultOf(row), paint);
  assert.match(table, /pair-100b.*500 k.*50\.0 k.*10\.0 x/);
  const chart = formatChart(resultOf(row)) ?? '';
  assert.match(chart, />10 x</);
  assert.match(chart, /A &amp; B/);
});

test('figures keep three digits', () => {
  assert.deepEqual([1_234_567, 512_345, 12_345, 345, 12.34, 0.123].map(figureText), [
    '1.23 M',
    '512 k',
    '12.3 k',
    '345',
    '12.3',
    '0.12',
  ]);
});

test('the listening line is found among others', () => {
  const ports = portsIn('{"event":"listening","pid":1,"ports":{"amqp":1234,"mqtt":5678}}') ?? {};
  assert.deepEqual([portIn(ports, 'amqp'), portIn(ports, 'mqtt')], [1234, 5678]);
  assert.throws(() => portIn(ports, 'ws'), /did not say on which port/);
  assert.equal(portsIn('{"event":"recovered"}'), undefined);
  assert.equal(portsIn('not JSON'), undefined);
});

test('the best of several peers is the reference, figure by figure', () => {
  const rounds = [
    round('mosquitto', 1, { p50: 0.2, p99: 9 }),
    round('aedes', 1, { p50: 0.4, p99: 3 }),
    round('postrider', 1, { p50: 0.1, p99: 1 }),
  ];
  const row = rows.find(({ id }) => id === 'latency-10k');
  assert.ok(row);
  const peers = { name: 'best peer', label: 'the better of both', among: ['mosquitto', 'aedes', 'absent'] };
  const judgedRow = judgeRow(row, 'postrider', peers, rounds);
  assert.deepEqual(
    judgedRow.metrics.map(({ ratios }) => [ratios.postrider, ratios.mosquitto]),
    [
      [0.1 / 0.2, 1],
      [1 / 3, 3],
    ],
  );
  const contenders = ['postrider', 'mosquitto', 'aedes'].map((name) => ({ name, version: '' }));
  const result = { ...resultOf(judgedRow), contenders, reference: peers };
  assert.match(formatTable(result, paint), /Ratio: median over that of the better of both in this run/);
  assert.match(formatChart(result) ?? '', />mosquitto</);
});

test('a peer needs a name and an AMQP address', () => {
  assert.equal(parsePeer('lavinmq=amqp://127.0.0.1:5673').name, 'lavinmq');
  assert.throws(() => parsePeer('amqp://127.0.0.1'), /name=amqp/);
  assert.throws(() => parsePeer('x=http://127.0.0.1'), /only amqp/);
});
