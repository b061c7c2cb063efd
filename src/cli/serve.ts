/** `postrider serve`: an engine, a broker on it, and the servers in front, until a signal or a failed disk ends it. */
import type { Command } from 'commander';
import { ConfigError } from '../config/config-error.ts';
import { serveSettings, settingsFrom, type ServeSettings, type Setting } from '../config/serve-settings.ts';
import { CommandError } from './command-error.ts';
import { exitCode } from './exit-code.ts';

const examples = `
Examples:
  postrider serve                                    AMQP on port 5672, MQTT on 1883 and 8083, data in ./data
  postrider serve --data /var/lib/postrider          another data directory
  postrider serve --mqtt-port off --ws-port off      AMQP alone
  postrider serve --data memory: --amqp-port 0 --mqtt-port 0 --ws-port 0 --json    for a test: any free ports
  postrider serve --host 0.0.0.0 --amqp-port off --mqtt-port off --ws-port off --tls-cert cert.pem --tls-key key.pem
  postrider serve --config postrider.yaml            options from a file; the command line wins

Ctrl-C (SIGINT) or SIGTERM stops it in order; a second one stops it at once, and nothing confirmed is lost by that.`;

interface Options extends Partial<ServeSettings> {
  readonly config?: string;
  readonly stopWithParent?: boolean;
}

export function registerServe(program: Command): void {
  const command = program.command('serve').description('serve clients over AMQP 0-9-1 and MQTT');
  for (const setting of serveSettings) {
    const option = command.createOption(flags(setting), described(setting));
    if (setting.placeholder !== undefined) option.argParser((text) => readOption(setting, text));
    command.addOption(option);
  }
  command
    .option('--config <FILE>', 'YAML file with these options as keys')
    // For programs that start a broker of their own: it must not outlive them, however they end.
    .addOption(command.createOption('--stop-with-parent', 'stop when standard input closes').hideHelp())
    .addHelpText('after', examples)
    .action(async ({ config, stopWithParent = false, ...given }: Options) => {
      const file = config === undefined ? {} : (await import('../config/config-file.ts')).readConfigFile(config);
      const { runBroker } = await import('./run-broker.ts');
      await runBroker(settingsFrom(file, given), stopWithParent);
    });
}

function flags({ name, placeholder }: Setting): string {
  return placeholder === undefined ? `--${name}` : `--${name} <${placeholder}>`;
}

function described({ description, standard, placeholder }: Setting): string {
  return placeholder === undefined || standard === '' ? description : `${description} (default: ${standard})`;
}

function readOption(setting: Setting, text: string): ServeSettings[keyof ServeSettings] {
  try {
    return setting.read(text);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CommandError(exitCode.usage, `--${setting.name} ${error.message}`, { cause: error });
  }
}
