/** Runs seeds on a few threads of a build and gathers what they tell. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Build } from './build.ts';
import { Coverage } from './coverage.ts';
import type { FilesMutation } from './mutated-files.ts';
import type { SeedReport, WorkerOrders, WorkerReport } from './worker.ts';

export interface FleetOptions {
  readonly threads: number;
  readonly mutation?: FilesMutation;
  readonly mostFailures?: number;
  readonly progress?: (ran: number, failed: number) => void;
}

export interface FleetResult {
  readonly ran: number;
  readonly operations: number;
  readonly steps: number;
  readonly virtualMs: number;
  readonly failures: readonly SeedReport[];
  readonly coverage: Coverage;
}

export async function runFleet(build: Build, seeds: readonly number[], options: FleetOptions): Promise<FleetResult> {
  const { threads, mutation = null, mostFailures = 5, progress } = options;
  const total = { ran: 0, operations: 0, steps: 0, virtualMs: 0 };
  const failures: SeedReport[] = [];
  const coverage = new Coverage();
  const script = pathToFileURL(join(build.directory, 'test/simulation/worker.js'));
  const workers: Worker[] = [];
  const run = (first: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const orders: WorkerOrders = { seeds, first, stride: threads, mutation, mostFailures };
      const worker = new Worker(script, { workerData: orders, execArgv: ['--enable-source-maps'] });
      workers.push(worker);
      let done = false;
      worker.on('message', (report: WorkerReport) => {
        total.ran += report.ran;
        total.operations += report.operations;
        total.steps += report.steps;
        total.virtualMs += report.virtualMs;
        failures.push(...report.failures);
        coverage.merge(report.coverage);
        progress?.(total.ran, failures.length);
        done ||= report.done;
        if (failures.length < mostFailures) return;
        done = true;
        for (const one of workers) void one.terminate();
      });
      worker.on('error', reject);
      worker.on('exit', (code) => {
        if (done || failures.length >= mostFailures) resolve();
        else reject(new Error(`a simulation thread ended early (${code})`));
      });
    });
  await Promise.all(Array.from({ length: threads }, (_, first) => run(first)));
  return { ...total, failures: failures.sort((a, b) => a.seed - b.seed), coverage };
}
