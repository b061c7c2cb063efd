/** The program itself: bin/postrider.js and the demo's broker start here. */
import { CommandError } from './command-error.ts';
import { commandLine } from './command-line.ts';
import { exitCode } from './exit-code.ts';
import { reportError, writeNow } from './report-error.ts';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever reads it (a pager, `head`) may go before the end; some commands listen themselves.
  if (error.code === 'EPIPE' || process.stdout.listenerCount('error') > 1) return;
  process.exit(reportError(new CommandError(exitCode.failed, `can't write standard output: ${error.message}`)));
});
const code = await commandLine(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: writeNow,
});
if (code !== undefined) process.exitCode = code;
