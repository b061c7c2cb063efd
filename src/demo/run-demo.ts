/** The demo as one call: a directory of its own, the scenes, the verdict, and nothing left behind. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Verdict } from '../verify/index.ts';
import { Director, type DemoOptions } from './director.ts';
import { Launcher } from './launch.ts';

/** A step of the demo failed. The logs are kept. */
export class DemoError extends Error {}

/** @throws DemoError where a step failed, and the signal's reason once everything is cleaned up */
export async function runDemo(options: DemoOptions): Promise<Verdict> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-demo-'));
  const launcher = new Launcher();
  let keep = false;
  try {
    const verdict = await new Director(options, directory, launcher).run();
    keep = verdict.verdict !== 'held';
    if (keep) options.screen.say(`histories and logs: ${directory}`);
    return verdict;
  } catch (error) {
    if (options.signal.aborted) throw error;
    keep = true;
    throw new DemoError(`the demo failed: ${(error as Error).message}; logs: ${join(directory, 'logs')}`, {
      cause: error,
    });
  } finally {
    options.screen.live('');
    await launcher.endAll();
    if (!keep) await rm(directory, { recursive: true, force: true });
  }
}
