/** Completion scripts. Commands and options stand in them; queue names are asked of `postrider completion queues`. */
import type { CommandSpec, OptionSpec } from './completion-spec.ts';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

export function completionScript(shell: Shell, commands: readonly CommandSpec[]): string {
  return { bash, zsh, fish }[shell](commands);
}

/** Works in bash 3.2 too; files are completed from 4.0 on. */
function bash(commands: readonly CommandSpec[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  return `# postrider: completion for bash
#   source <(postrider completion bash)                in ~/.bashrc, or
#   postrider completion bash > ~/.local/share/bash-completion/completions/postrider
_postrider() {
  local program=$1 cur=$2 prev=$3 options= values= files= argument= url=\${POSTRIDER_URL-}
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W '${names} help --help --version' -- "$cur"))
    return
  fi
  case \${COMP_WORDS[1]} in
${commands.map(bashCase).join('\n')}
    help) argument='${names}' ;;
    *) return ;;
  esac
  if [[ " $files " == *" $prev "* ]]; then
    compopt -o default 2>/dev/null
  elif [[ " $values " == *" $prev "* ]]; then
    :
  elif [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$cur"))
  elif [[ $argument == :file ]]; then
    compopt -o default 2>/dev/null
  elif [[ $argument == :queue ]]; then
    [[ $COMP_LINE =~ --url[=\\ ]+([^\\ ]+) ]] && url=\${BASH_REMATCH[1]}
    COMPREPLY=($(compgen -W "$(POSTRIDER_URL=$url "$program" completion queues 2>/dev/null)" -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$argument" -- "$cur"))
  fi
}
complete -F _postrider postrider
`;
}

function bashCase({ name, options, argument, choices }: CommandSpec): string {
  const isFile = ({ value }: OptionSpec): boolean => value === 'file' || value === 'directory';
  const list = (some: readonly OptionSpec[]): string => some.flatMap(({ names }) => names).join(' ');
  const what =
    argument === 'queue' ? ':queue' : argument === 'directory' || argument === 'file' ? ':file' : choices.join(' ');
  return `    ${name})
      options='${list(options)}'
      values='${list(options.filter((option) => option.value !== 'none' && !isFile(option)))}'
      files='${list(options.filter(isFile))}' argument='${what}' ;;`;
}

function zsh(commands: readonly CommandSpec[]): string {
  return `#compdef postrider
# postrider: completion for zsh
#   source <(postrider completion zsh)                 in ~/.zshrc behind compinit, or
#   postrider completion zsh > a directory of $fpath, as _postrider
_postrider_queues() {
  local url=\${POSTRIDER_URL-}
  local -a queues match mbegin mend
  [[ $BUFFER =~ '--url[= ]+([^ ]+)' ]] && url=$match[1]
  queues=(\${(f)"$(POSTRIDER_URL=$url \${program:-postrider} completion queues 2>/dev/null)"})
  compadd -a queues
}
_postrider() {
  local program=$words[1]
  if (( CURRENT == 2 )); then
    local -a commands
    commands=(
${commands.map(({ name, description }) => `      ${quoted(`${name}:${description}`)}`).join('\n')}
      'help:tell how to use a command'
    )
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${commands.map(zshCase).join('\n')}
    help) compadd ${commands.map(({ name }) => name).join(' ')} ;;
  esac
}
if [[ $funcstack[1] == _postrider ]]; then
  _postrider "$@"
else
  compdef _postrider postrider
fi
`;
}

function zshCase({ name, options, argument, choices }: CommandSpec): string {
  const action = { none: '', any: ' ', file: '_files', directory: '_files -/', queue: '_postrider_queues' };
  const specs = options.map(({ names, description, value, placeholder }) => {
    const brackets = `[${description.replace(/[[\]:\\]/g, '\\$&')}]`;
    const taken =
      value === 'none' ? '' : `:${placeholder.replace(/:/g, '\\:')}:${value === 'choice' ? ' ' : action[value]}`;
    return quoted(`${names[0]!}${brackets}${taken}`);
  });
  if (argument !== 'none') {
    specs.push(quoted(`*:${argument}:${argument === 'choice' ? `(${choices.join(' ')})` : action[argument]}`));
  }
  return `    ${name})\n      _arguments \\\n${specs.map((spec) => `        ${spec}`).join(' \\\n')} ;;`;
}

function fish(commands: readonly CommandSpec[]): string {
  const lines = commands.flatMap(({ name, description, options, argument, choices }) => {
    const inCommand = `complete -c postrider -n ${quoted(`__fish_seen_subcommand_from ${name}`)}`;
    const words = argument === 'queue' ? '(__postrider_queues)' : choices.join(' ');
    return [
      `complete -c postrider -n __fish_use_subcommand -a ${name} -d ${quoted(description)}`,
      ...options.map((option) => `${inCommand} ${fishOption(option)}`),
      ...(argument === 'directory' || argument === 'file' ? [`${inCommand} -F`] : []),
      ...(words === '' ? [] : [`${inCommand} -a ${quoted(words)}`]),
    ];
  });
  return `# postrider: completion for fish
#   postrider completion fish > ~/.config/fish/completions/postrider.fish
function __postrider_queues
    set -l url $POSTRIDER_URL
    set -l given (string match -r -- '--url[= ]+(\\S+)' (commandline))
    test (count $given) -eq 2; and set url $given[2]
    POSTRIDER_URL=$url postrider completion queues 2>/dev/null
end
complete -c postrider -f
${lines.join('\n')}
complete -c postrider -n __fish_use_subcommand -a help -d 'tell how to use a command'
complete -c postrider -n '__fish_seen_subcommand_from help' -a ${quoted(commands.map(({ name }) => name).join(' '))}
`;
}

function fishOption({ names, description, value }: OptionSpec): string {
  const flags = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`)).join(' ');
  const taken = value === 'none' ? '' : value === 'file' || value === 'directory' ? ' -r -F' : ' -x';
  return `${flags}${taken} -d ${quoted(description)}`;
}

/** For all three: in single quotes, one of which is written as '\\''. */
function quoted(text: string): string {
  return `'${text.replace(/'/g, "'\\''")}'`;
}
