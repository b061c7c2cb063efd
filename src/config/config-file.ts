/** The configuration file: YAML, one key for each setting, and nothing else. Loaded only when --config names one. */
import { readFileSync } from 'node:fs';
import { isMap, isScalar, LineCounter, parseDocument, type Node } from 'yaml';
import { ConfigError } from './config-error.ts';
import { nearest } from '../nearest.ts';
import { serveSettings, type ServeSettings } from './serve-settings.ts';

/** @throws ConfigError naming file, line and key */
export function readConfigFile(path: string): Partial<ServeSettings> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`cannot read the configuration file ${path}: ${reason(error)}`, { cause: error });
  }
  return parseConfig(text, path);
}

/** @throws ConfigError naming `path`, line and key */
export function parseConfig(text: string, path: string): Partial<ServeSettings> {
  const lines = new LineCounter();
  const at = (offset: number): string => `${path}:${lines.linePos(offset).line}`;

  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, schema: 'core' });
  const broken = document.errors[0] ?? document.warnings[0];
  if (broken !== undefined) throw new ConfigError(`${at(broken.pos[0])}: not valid YAML: ${broken.message}`);

  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) return {};
  if (!isMap(root))
    throw new ConfigError(`${at(start(root))}: must be a list of "key: value" lines, one for each setting`);

  const known = serveSettings.map((setting) => setting.name);
  const settings: Record<string, unknown> = {};
  for (const { key, value } of root.items) {
    const node = key as Node;
    const name = isScalar(node) ? String(node.value) : '';
    const setting = serveSettings.find((candidate) => candidate.name === name);
    if (setting === undefined)
      throw new ConfigError(`${at(start(node))}: unknown key ${JSON.stringify(name)}; ${advice(name, known)}`);
    try {
      settings[setting.key] = setting.read(isScalar(value) ? value.value : undefined);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      throw new ConfigError(`${at(start(node))}: ${name} ${error.message}`, { cause: error });
    }
  }
  return settings;
}

function advice(name: string, known: readonly string[]): string {
  const meant = nearest(name, known);
  return meant === undefined ? `known are ${known.join(', ')}` : `did you mean ${JSON.stringify(meant)}?`;
}

function start(node: Node): number {
  return node.range?.[0] ?? 0;
}

function reason(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return 'no such file';
    case 'EISDIR':
      return 'it is a directory';
    case 'EACCES':
      return 'permission denied';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
