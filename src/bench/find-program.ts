import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The path of a program: in `first`, on the PATH, where Debian keeps servers, in `last`; undefined where it is absent. */
export function findProgram(name: string, first: string[] = [], last: string[] = []): string | undefined {
  const onPath = (process.env.PATH ?? '').split(delimiter);
  for (const folder of [...first, ...onPath, '/usr/bin', '/usr/sbin', ...last]) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return undefined;
}
