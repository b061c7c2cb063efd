/** `postrider completion`: a script for the shell's TAB key. */
import { Argument, type Command } from 'commander';
import type { Shell } from './completion-scripts.ts';
import { print } from './print.ts';

const examples = `
Examples:
  source <(postrider completion bash)       in ~/.bashrc
  source <(postrider completion zsh)        in ~/.zshrc, behind compinit
  postrider completion fish > ~/.config/fish/completions/postrider.fish

It completes commands, options and files, and the names of queues where a
broker at --url or POSTRIDER_URL tells them at once.`;

export function registerCompletion(program: Command): void {
  program
    .command('completion')
    .description("print a script that completes postrider's commands and queues")
    .addArgument(new Argument('<SHELL>', 'bash, zsh or fish').choices(['bash', 'zsh', 'fish']))
    .addHelpText('after', examples)
    .action(async (shell: Shell) => {
      const { completionScript } = await import('./completion-scripts.ts');
      const { completionSpec } = await import('./completion-spec.ts');
      await print([completionScript(shell, completionSpec(program)).trimEnd()]);
    })
    // For the scripts.
    .command('queues', { hidden: true })
    .action(async () => {
      const { queueNames } = await import('./queue-names.ts');
      await print(await queueNames());
      process.exit();
    });
}
