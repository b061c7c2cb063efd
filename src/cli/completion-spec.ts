/** The command line as a shell's completion needs it, read from the commands themselves. */
import type { Argument, Command, Option } from 'commander';

export type ValueKind = 'none' | 'any' | 'file' | 'directory' | 'queue' | 'choice';

export interface OptionSpec {
  /** `--url`, and `-h` where there is one. */
  readonly names: readonly string[];
  readonly description: string;
  readonly value: ValueKind;
  /** What the value is called in the help. */
  readonly placeholder: string;
}

export interface CommandSpec {
  readonly name: string;
  readonly description: string;
  readonly options: readonly OptionSpec[];
  /** Of the first argument. */
  readonly argument: ValueKind;
  readonly choices: readonly string[];
}

export function completionSpec(program: Command): CommandSpec[] {
  return program.commands.map((command) => {
    const first = command.registeredArguments[0];
    const inner = first === undefined ? command.commands.map((each) => each.name()) : [];
    const options = (first === undefined ? withInner(command) : [command]).flatMap((each) => each.options);
    const named = new Map(options.filter(({ hidden }) => !hidden).map((option) => [option.long, option]));
    return {
      name: command.name(),
      description: command.description(),
      options: [...Array.from(named.values(), optionSpec), help],
      argument: inner.length > 0 ? 'choice' : first === undefined ? 'none' : argumentKind(first),
      choices: inner.length > 0 ? inner : (first?.argChoices ?? []),
    };
  });
}

function withInner(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withInner)];
}

const help: OptionSpec = { names: ['--help', '-h'], description: 'tell how to use it', value: 'none', placeholder: '' };

function optionSpec(option: Option): OptionSpec {
  const placeholder = /<([^>]*)>/.exec(option.flags)?.[1] ?? '';
  return {
    names: [option.long, option.short].filter((name) => name !== undefined && name !== null),
    description: option.description,
    value: option.required || option.optional ? kindOf(placeholder) : 'none',
    placeholder,
  };
}

function argumentKind(argument: Argument): ValueKind {
  if (argument.argChoices !== undefined) return 'choice';
  return kindOf(argument.name());
}

function kindOf(placeholder: string): ValueKind {
  const words = placeholder.split(/[^A-Z]+/);
  if (words.includes('QUEUE') || words.includes('NAME')) return 'queue';
  if (words.includes('DIR')) return 'directory';
  return words.includes('FILE') ? 'file' : 'any';
}
