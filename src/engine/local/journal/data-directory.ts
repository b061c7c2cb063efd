/** A data directory: its marker file, its lock, and what lies in it. */
import { join } from 'node:path';
import { EngineError } from '../../errors.ts';
import { checkpointOfName } from './checkpoint.ts';
import type { DirectoryLock, Files } from './files.ts';
import { FORMAT_VERSION, isSpareName, segmentOfName } from './segment-file.ts';

export const MARKER_NAME = 'postrider';

export interface DirectoryFiles {
  /** Ascending. */
  readonly segments: readonly number[];
  readonly checkpoints: readonly number[];
  readonly spares: readonly string[];
}

export interface DirectoryContents extends DirectoryFiles {
  readonly lock: DirectoryLock;
}

/** Takes the directory, creating it where it is absent. @throws EngineError UNWRITABLE, LOCKED, FOREIGN, NEWER, CORRUPT: nothing was touched */
export async function claimDirectory(directory: string, files: Files): Promise<DirectoryContents> {
  let names: string[];
  try {
    await files.makeDirectory(directory);
    names = await files.list(directory);
  } catch (error) {
    throw unwritable(directory, error);
  }
  const marked = names.includes(MARKER_NAME);
  const holdsJournal = names.some((name) => segmentOfName(name) !== null || checkpointOfName(name) !== null);
  if (!marked && holdsJournal) throw markerDamaged(join(directory, MARKER_NAME), 0, 'it is missing');
  if (!marked && names.some((name) => !isOurs(name))) {
    throw new EngineError(
      'FOREIGN',
      `${directory} holds files that are not Postrider's (${names.find((name) => !isOurs(name))}): choose an empty or new directory`,
    );
  }
  if (marked) await checkVersion(directory, files, holdsJournal);
  const lock = await files.lock(directory);
  try {
    if (!marked) await writeMarker(directory, files);
    // A start before may have been cut short between its rename and its sync: all that is made here hangs on the marker.
    else await files.syncDirectory(directory);
    names = await files.list(directory);
    for (const name of names.filter((each) => each.endsWith('.new'))) await files.unlink(join(directory, name));
  } catch (error) {
    await lock.release();
    throw error instanceof EngineError ? error : unwritable(directory, error);
  }
  return { lock, ...filesAmong(names) };
}

export function filesAmong(names: readonly string[]): DirectoryFiles {
  const numbers = (of: (name: string) => number | null): number[] =>
    names
      .map(of)
      .filter((number) => number !== null)
      .sort((a, b) => a - b);
  return {
    segments: numbers(segmentOfName),
    checkpoints: numbers(checkpointOfName),
    spares: names.filter(isSpareName),
  };
}

/** What may lie in a directory before its marker is durable: the traces of a first start that was cut short. */
function isOurs(name: string): boolean {
  return name === `${MARKER_NAME}.new` || name === 'lock' || name.startsWith('lock.') || name.startsWith('lock-');
}

async function checkVersion(directory: string, files: Files, holdsJournal: boolean): Promise<void> {
  const path = join(directory, MARKER_NAME);
  const text = await readText(path, files).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'EISDIR') return '';
    throw unwritable(directory, error);
  });
  const version = /^postrider journal (\d+)\n$/.exec(text)?.[1];
  if (version === undefined) {
    if (holdsJournal) throw markerDamaged(path, Buffer.byteLength(text), 'it is not what was written');
    throw new EngineError('FOREIGN', `${path} is not Postrider's: choose an empty or new directory`);
  }
  if (Number(version) > FORMAT_VERSION) {
    throw new EngineError(
      'NEWER',
      `${directory} was written in format ${version}, this version reads up to ${FORMAT_VERSION}: use a newer Postrider, or another directory`,
    );
  }
}

/** A line that anybody can write again, and that all else hangs on. */
function markerDamaged(path: string, bytes: number, what: string): EngineError {
  const remedy = `beside it lie segments or checkpoints; write it anew: echo 'postrider journal ${FORMAT_VERSION}' > '${path}'`;
  return new EngineError('CORRUPT', `marker ${path}, bytes 0 to ${bytes}: ${what}; ${remedy}`);
}

async function readText(path: string, files: Files): Promise<string> {
  const file = await files.open(path, 'read');
  try {
    const bytes = Buffer.alloc(64);
    return bytes.toString('utf8', 0, await file.read(bytes, 0, bytes.length, 0));
  } finally {
    await file.close();
  }
}

async function writeMarker(directory: string, files: Files): Promise<void> {
  const path = join(directory, MARKER_NAME);
  const temporary = `${path}.new`;
  await files.unlink(temporary).catch(() => undefined);
  const file = await files.open(temporary, 'create');
  const bytes = Buffer.from(`postrider journal ${FORMAT_VERSION}\n`);
  try {
    await file.write(bytes, 0, bytes.length, 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(temporary, path);
  await files.syncDirectory(directory);
}

function unwritable(directory: string, error: unknown): EngineError {
  const cause = error as NodeJS.ErrnoException;
  if (cause instanceof EngineError) return cause;
  return new EngineError('UNWRITABLE', `${directory} can't be used: ${explain(cause)}`, { cause });
}

function explain({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'EEXIST':
    case 'ENOTDIR':
      return 'it, or something above it, is a file: choose a directory';
    case 'EACCES':
    case 'EPERM':
      return 'permission denied: make it readable and writable for this user, or choose another';
    case 'EROFS':
      return 'its file system is read-only: choose another directory';
    case 'ENOSPC':
    case 'EDQUOT':
      return 'no space is left there: make some, or choose another directory';
    default:
      return `${message}: make it writable, or choose another directory`;
  }
}
