/** The demo as one call: a directory of its own, the scenes, the verdict, and nothing left behind. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Verdict } from '../verify/index.ts';
import { Director, type StoreOptions } from './director.ts';
import { Launcher } from './launch.ts';
import type { Screen } from './screen.ts';
import { SensorsDirector, type SensorsOptions } from './sensors/director.ts';

/** A step of the demo failed. The logs are kept. */
export class DemoError extends Error {}

/** @throws DemoError where a step failed, and the signal's reason once everything is cleaned up */
export function runStore(options: StoreOptions): Promise<Verdict> {
  return run(options, (directory, launcher) => new Director(options, directory, launcher).run());
}

/** @throws as `runStore` */
export function runSensors(options: SensorsOptions): Promise<Verdict> {
  return run(options, (directory, launcher) => new SensorsDirector(options, directory, launcher).run());
}

async function run(
  { screen, signal }: { screen: Screen; signal: AbortSignal },
  scene: (directory: string, launcher: Launcher) => Promise<Verdict>,
): Promise<Verdict> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-demo-'));
  const launcher = new Launcher();
  let keep = false;
  try {
    const verdict = await scene(directory, launcher);
    keep = verdict.verdict !== 'held';
    if (keep) screen.say(`histories and logs: ${directory}`);
    return verdict;
  } catch (error) {
    if (signal.aborted) throw error;
    keep = true;
    throw new DemoError(`the demo failed: ${(error as Error).message}; logs: ${join(directory, 'logs')}`, {
      cause: error,
    });
  } finally {
    screen.live('');
    await launcher.endAll();
    if (!keep) await rm(directory, { recursive: true, force: true });
  }
}
