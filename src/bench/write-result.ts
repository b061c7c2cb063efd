import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatChart } from './chart.ts';
import type { BenchResult } from './result.ts';

/** Writes the JSON and, where there are ratios, the chart; says which files these are. */
export async function writeResult(result: BenchResult, folder: string, name: string): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const jsonFile = join(folder, `${name}.json`);
  const chartFile = join(folder, `${name}.svg`);
  await writeFile(jsonFile, `${JSON.stringify(result, null, 2)}\n`);
  const chart = formatChart(result);
  if (chart === undefined) {
    await rm(chartFile, { force: true });
    return [jsonFile];
  }
  await writeFile(chartFile, chart);
  return [jsonFile, chartFile];
}
