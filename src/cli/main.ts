/** The program itself: bin/postrider.js and the demo's broker start here. */
import { commandLine } from './command-line.ts';
import { writeNow } from './report-error.ts';

const code = await commandLine(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: writeNow,
});
if (code !== undefined) process.exitCode = code;
