/** Runs seeds one after the other in a thread, and tells what came of each. */
import { parentPort, workerData } from 'node:worker_threads';
import { engineUnderTest } from './engine-under-test.ts';
import { type FilesMutation, mutatedFiles } from './mutated-files.ts';
import { type SeedResult, simulate } from './simulation.ts';

export interface WorkerOrders {
  readonly seeds: readonly number[];
  /** Of all seeds: this one, and each further one `stride` behind. */
  readonly first: number;
  readonly stride: number;
  readonly mutation: FilesMutation | null;
  /** After this many failed seeds the rest is not run. */
  readonly mostFailures: number;
}

export interface SeedReport {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly last: readonly string[];
  readonly operations: number;
}

export interface WorkerReport {
  readonly ran: number;
  readonly operations: number;
  readonly steps: number;
  readonly virtualMs: number;
  readonly failures: readonly SeedReport[];
  readonly coverage: readonly (readonly [string, number])[];
  readonly done: boolean;
}

const port = parentPort!;
const { seeds, first, stride, mutation, mostFailures } = workerData as WorkerOrders;
const factory: typeof engineUnderTest =
  mutation === null
    ? engineUnderTest
    : (files, clock, random, roomy) => engineUnderTest(mutatedFiles(files, mutation), clock, random, roomy);

/** A promise that nobody handles is a defect of its own; it is booked with the seed that was running. */
const unhandled: string[] = [];
process.on('unhandledRejection', (reason) => {
  unhandled.push(`unhandled rejection: ${reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)}`);
});

let report = empty();
function empty(): { -readonly [key in keyof WorkerReport]: WorkerReport[key] } & { failures: SeedReport[] } {
  return { ran: 0, operations: 0, steps: 0, virtualMs: 0, failures: [], coverage: [], done: false };
}

const coverage = new Map<string, number>();
function send(done: boolean): void {
  port.postMessage({ ...report, coverage: [...coverage], done });
  report = empty();
  coverage.clear();
}

async function run(
  seed: number,
  traced: boolean,
): Promise<{ readonly result: SeedResult; readonly violations: string[] }> {
  const result = await simulate(seed, factory, { traced });
  // Rejections surface once this turn is over.
  await new Promise((resolve) => setImmediate(resolve));
  return { result, violations: [...result.violations, ...unhandled.splice(0)] };
}

let failed = 0;
let sentAt = performance.now();
for (let at = first; at < seeds.length && failed < mostFailures; at += stride) {
  const seed = seeds[at]!;
  const { result, violations } = await run(seed, false);
  report.ran++;
  report.operations += result.operations;
  report.steps += result.steps;
  report.virtualMs += result.virtualMs;
  for (const [name, count] of result.coverage.counts) coverage.set(name, (coverage.get(name) ?? 0) + count);
  if (violations.length > 0) {
    failed++;
    const again = await run(seed, true);
    if (again.violations.join() !== violations.join()) violations.push('it did not happen again when it was repeated');
    report.failures.push({ seed, violations, last: again.result.last, operations: result.operations });
    send(false);
  } else if (performance.now() - sentAt > 500) {
    sentAt = performance.now();
    send(false);
  }
}
send(true);
