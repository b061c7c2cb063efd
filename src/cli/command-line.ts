/**
 * The command line. Start-up counts: a broker must listen within a fraction of a second, so only the named command's
 * file is loaded here, and what a command needs to work is loaded by its action.
 */
import { Command, CommanderError } from 'commander';
import { CommandError } from './command-error.ts';
import { exitCode, type ExitCode } from './exit-code.ts';
import { errorReport } from './report-error.ts';
import { paintFor } from './terminal.ts';
import { version } from '../version.ts';

type Register = (program: Command) => void;

/** In the order of the help. */
const commands: Readonly<Record<string, () => Promise<Register>>> = {
  serve: async () => (await import('./serve.ts')).registerServe,
  publish: async () => (await import('./publish.ts')).registerPublish,
  consume: async () => (await import('./consume.ts')).registerConsume,
  queues: async () => (await import('./queues.ts')).registerQueues,
  peek: async () => (await import('./peek.ts')).registerPeek,
  purge: async () => (await import('./purge.ts')).registerPurge,
  redrive: async () => (await import('./redrive.ts')).registerRedrive,
  delayed: async () => (await import('./delayed.ts')).registerDelayed,
  topology: async () => (await import('./topology.ts')).registerTopology,
  users: async () => (await import('./users.ts')).registerUsers,
  vhosts: async () => (await import('./vhosts.ts')).registerVhosts,
  permissions: async () => (await import('./permissions.ts')).registerPermissions,
  inspect: async () => (await import('./inspect.ts')).registerInspect,
  demo: async () => (await import('./demo.ts')).registerDemo,
  bench: async () => (await import('./bench.ts')).registerBench,
  completion: async () => (await import('./completion.ts')).registerCompletion,
};

const examples = `
Examples:
  postrider serve                         AMQP on 127.0.0.1:5672, data in ./data
  postrider publish orders --create hello
  postrider consume orders                what comes, line by line, until Ctrl-C
  postrider queues                        what waits where
  postrider inspect ./data                what a data directory holds, undamaged?
  postrider demo                          a store's orders survive two kills

postrider help COMMAND tells more. Commands that work on a broker take its --url.
Exit codes: 0 done, 1 failed or damage found, 2 usage or configuration,
3 data directory, 4 address in use, 5 engine failed. Manual: docs/CLI.md`;

/** Where a command line without a process of its own writes. */
export interface Output {
  out(text: string): void;
  err(text: string): void;
}

/** Runs `postrider` with these arguments. An action may set `process.exitCode`; errors are told, and their code returned. */
export async function commandLine(args: readonly string[], output: Output): Promise<ExitCode | undefined> {
  const program = new Command('postrider')
    .description('A durable message queue: one broker, served over AMQP 0-9-1.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'tell how to use it')
    .helpCommand('help [command]', 'tell how to use a command')
    .addHelpText('after', examples)
    .exitOverride()
    .configureHelp({ styleTitle: (title) => paintFor(process.stdout).bold(title) })
    // Commander would tell an error in its own way, on two lines.
    .configureOutput({
      writeOut: (text) => output.out(text),
      writeErr: (text) => output.err(text),
      outputError: () => undefined,
    });

  const named = commands[args[0] ?? ''];
  try {
    // Help and completion speak of all of them.
    const all = named === undefined || named === commands['completion'];
    for (const load of all ? Object.values(commands) : [named]) (await load())(program);
    if (args.length === 0) {
      program.outputHelp({ error: true });
      return exitCode.usage;
    }
    await program.parseAsync(args, { from: 'user' });
    return undefined;
  } catch (error) {
    const told = error instanceof CommanderError ? fromCommander(error, named === undefined ? '' : args[0]!) : error;
    if (told === null) return exitCode.done;
    const { text, code } = errorReport(told);
    output.err(`${text}\n`);
    return code;
  }
}

/** Commander's way to end a command: help and version were printed; anything else is wrong usage of `command`, or of none. */
function fromCommander(error: CommanderError, command: string): CommandError | null {
  if (error.exitCode === 0) return null;
  const message = error.message
    .replace(/^error: /, '')
    .replace(/^option '(\S+) (.*)' argument missing$/, 'option $1 needs a value: $2')
    .replace(
      /^command-argument value '(.*)' is invalid for argument '(\S+)'\. Allowed choices are (.*)\.$/,
      '$2 must be one of $3, not "$1"',
    )
    .replace(/^too many arguments for '(\S+)'\. Expected (\d+) .* got (\d+)\.$/, takes)
    .replace(/\n?\((Did you mean .*)\)$/, (_, hint: string) => `; ${hint.replace('Did', 'did')}`);
  const help = command === '' ? 'postrider --help' : `postrider ${command} --help`;
  return new CommandError(exitCode.usage, message.includes('did you mean') ? message : `${message}; see ${help}`);
}

function takes(_: string, command: string, expected: string, given: string): string {
  const arguments_ = expected === '0' ? 'no argument' : expected === '1' ? 'one argument' : `${expected} arguments`;
  return `${command} takes ${arguments_} besides its options, and got ${given}`;
}
