/** A password that a user is to have: never from the command line, where every process of the machine could read it. */
import { CommandError } from './command-error.ts';
import { exitCode, signalExitCode } from './exit-code.ts';

const variable = 'POSTRIDER_NEW_PASSWORD';
const longestLine = 4_096;

/** From the variable, else from a person who types it twice, else the first line of standard input. @throws CommandError */
export async function newPassword(user: string): Promise<string> {
  const given = process.env[variable];
  if (given !== undefined && given !== '') return given;
  if (process.stdin.isTTY) return typed(user);
  const line = await firstLine();
  if (line !== '') return line;
  throw new CommandError(
    exitCode.usage,
    `the password of user '${user}' is expected on standard input, or in $${variable}, and there is none`,
  );
}

async function firstLine(): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (chunk.includes(0x0a) || size > longestLine) break;
  }
  return Buffer.concat(chunks).toString().split(/\r?\n/, 1)[0]!;
}

async function typed(user: string): Promise<string> {
  const password = await prompt(`Password of user '${user}': `);
  if (password === (await prompt('Again: '))) return password;
  throw new CommandError(exitCode.failed, 'these are two different passwords; nothing was changed');
}

/** What is typed is not shown. */
async function prompt(question: string): Promise<string> {
  const { createInterface } = await import('node:readline');
  const { Writable } = await import('node:stream');
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() });
  process.stderr.write(question);
  const lines = createInterface({ input: process.stdin, output: unseen, terminal: true, historySize: 0 });
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once('line', resolve);
      lines.once('SIGINT', () => process.exit(signalExitCode.SIGINT));
      lines.once('close', () => reject(new CommandError(exitCode.usage, 'no password was typed; nothing was changed')));
    });
  } finally {
    process.stderr.write('\n');
    lines.close();
  }
}
