/** Reads history files back, and merges those of several processes by time. */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { HISTORY_SUFFIX } from './file-recorder.ts';
import { decodeLine } from './history-line.ts';
import { HistoryError } from './history.ts';
import type { HistoryEvent } from './history.ts';

const CHUNK_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/** The history files of a directory, in the order of their names. */
export function historyFiles(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith(HISTORY_SUFFIX))
    .sort()
    .map((name) => join(directory, name));
}

/**
 * The events of one or more files, merged by time; a process's own order is kept. May be iterated again and again.
 * @throws HistoryError for a damaged line, naming file and line. A torn last line is left out: its send never happened.
 */
export function readHistory(files: string | readonly string[]): Iterable<HistoryEvent> {
  const list = typeof files === 'string' ? [files] : files;
  return { [Symbol.iterator]: () => mergeByTime(list.map((file) => eventsOf(file))) };
}

/** Merges histories that are each in order of time. */
export function* mergeByTime(histories: Iterable<Iterable<HistoryEvent>>): Generator<HistoryEvent, void> {
  const heads: { iterator: Iterator<HistoryEvent>; event: HistoryEvent }[] = [];
  for (const history of histories) {
    const iterator = history[Symbol.iterator]();
    const first = iterator.next();
    if (first.done !== true) heads.push({ iterator, event: first.value });
  }
  // A linear search for the earliest: a run has tens of files, and mostly one of them goes on for a while.
  for (;;) {
    let earliest = heads[0];
    if (earliest === undefined) return;
    for (const head of heads) if (head.event.at < earliest.event.at) earliest = head;
    yield earliest.event;
    const next = earliest.iterator.next();
    if (next.done === true) heads.splice(heads.indexOf(earliest), 1);
    else earliest.event = next.value;
  }
}

function* eventsOf(file: string): Generator<HistoryEvent, void> {
  let lineNumber = 0;
  for (const line of linesOf(file)) {
    lineNumber++;
    if (lineNumber === 1 && !line.includes('"k":"o"')) {
      throw new HistoryError('FOREIGN_FILE', `${file}: not a history file (its first line names no format)`);
    }
    let event: HistoryEvent | undefined;
    try {
      event = decodeLine(line);
    } catch (cause) {
      if (!(cause instanceof HistoryError)) throw cause;
      throw new HistoryError(cause.code, `${file}:${lineNumber}: ${cause.message}`, { cause });
    }
    if (event !== undefined) yield event;
  }
}

/** Whole lines only: what follows the last newline was torn. */
function* linesOf(file: string): Generator<string, void> {
  const descriptor = openSync(file, 'r');
  try {
    let rest = Buffer.alloc(0);
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const length = readSync(descriptor, chunk, 0, CHUNK_BYTES, null);
      if (length === 0) return;
      const bytes = Buffer.concat([rest, chunk.subarray(0, length)]);
      const end = bytes.lastIndexOf(NEWLINE);
      if (end >= 0) yield* bytes.toString('utf8', 0, end).split('\n');
      rest = Buffer.from(bytes.subarray(end + 1));
    }
  } finally {
    closeSync(descriptor);
  }
}
