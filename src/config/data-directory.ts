/** A data directory as people name it: a path, or the `file:` URL that `connect` takes. */
import { fileDirectory } from '../file-directory.ts';
import { nearest } from '../nearest.ts';
import { ConfigError } from './config-error.ts';

/** The path. What has another scheme is hardly meant to be a directory of that name. @throws ConfigError saying what it must be */
export function dataDirectory(text: string): string {
  const scheme = /^[a-z][a-z0-9+.-]+:/i.exec(text)?.[0].toLowerCase();
  if (scheme === undefined) return text;
  const refused = (why: string, cause?: unknown): ConfigError =>
    new ConfigError(`must be a directory, not ${JSON.stringify(text)}: ${why}`, { cause });
  if (scheme === 'file:') {
    let path: string;
    try {
      path = fileDirectory(text);
    } catch (error) {
      throw refused(`${(error as Error).message}; write file:./data, or file:///var/data`, error);
    }
    if (path === '') throw refused('it names none; write file:./data, say');
    return path;
  }
  if (scheme === 'amqp:' || scheme === 'amqps:')
    throw refused('that is the URL of a broker that runs; write ./data, say');
  const meant = nearest(scheme, ['file:', 'memory:']);
  throw refused(meant === undefined ? `for one of that name write ./${text}` : `did you mean ${meant}?`);
}
