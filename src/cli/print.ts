import { CommandError } from './command-error.ts';
import { exitCode } from './exit-code.ts';

/** Writes a verb's answer to standard output. That nobody reads it to its end (`| head`) is no error. @throws CommandError */
export async function print(lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  process.stdout.on('error', () => undefined);
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(`${lines.join('\n')}\n`, (error) => {
      if (error == null || (error as NodeJS.ErrnoException).code === 'EPIPE') resolve();
      else reject(new CommandError(exitCode.failed, `can't write standard output: ${error.message}`, { cause: error }));
    });
  });
}
