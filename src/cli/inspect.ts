/** `postrider inspect`: what a data directory holds, read offline and never written. */
import type { Command } from 'commander';
import { dataDirectory } from '../config/data-directory.ts';
import { CommandError } from './command-error.ts';
import { exitCode } from './exit-code.ts';

const examples = `
Examples:
  postrider inspect ./data             segments, checkpoints, queues, and whether anything is damaged
  postrider inspect ./data --json      the same for a program

It works on a damaged directory, and beside a broker that is using it (what it then sees is a moment old).
Exit code 0: whole. 1: damage was found. 3: there is no journal to read.`;

export function registerInspect(program: Command): void {
  program
    .command('inspect')
    .description('read a data directory offline: segments, queues, damage')
    .argument('<DIR>', 'data directory')
    .option('--json', 'print one JSON object')
    .addHelpText('after', examples)
    .action(async (named: string, { json = false }: { json?: boolean }) => {
      const directory = directoryNamed(named);
      const { inspectJournal } = await import('../engine/local/journal/inspect.ts');
      const { Terminal } = await import('./terminal.ts');
      const progress = new Terminal(process.stderr);
      const report = await inspectJournal(directory, undefined, (read, segments) => {
        progress.live(`${progress.bar(read, segments, 20)} ${read} of ${segments} segments read`);
      });
      progress.live('');
      if (json) {
        process.stdout.write(`${JSON.stringify(report)}\n`);
      } else {
        const { renderInspection } = await import('./inspection.ts');
        const screen = new Terminal(process.stdout);
        for (const line of renderInspection(report, screen.paint)) screen.say(line);
      }
      if (report.damage.length > 0 || report.refusal !== null) process.exitCode = exitCode.failed;
    });
}

/** @throws CommandError */
function directoryNamed(text: string): string {
  if (/^memory:/i.test(text)) throw new CommandError(exitCode.usage, `DIR: ${text} leaves nothing on disk to read`);
  try {
    return dataDirectory(text);
  } catch (error) {
    throw new CommandError(exitCode.usage, `DIR ${(error as Error).message}`, { cause: error });
  }
}
