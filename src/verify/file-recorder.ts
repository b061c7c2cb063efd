/**
 * Records to a file of the process's own. An event that has been written lies in the kernel, so it survives a SIGKILL
 * of this process (not a power cut of the machine: keep histories off the disk under test).
 */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { encodeLine, encodeOrigin } from './history-line.ts';
import { HistoryError } from './history.ts';
import type { HistoryEvent } from './history.ts';
import { monotonicNs, Recorder } from './recorder.ts';

export const HISTORY_SUFFIX = '.history.jsonl';

const BUFFER_LIMIT_CHARS = 64 * 1024;

export interface FileRecorderOptions {
  /**
   * Gather events until `flush()`, so that a batch costs one write(2). The caller then flushes before each send.
   * Default false: each event is written before its method returns.
   */
  readonly buffered?: boolean;
}

export class FileRecorder extends Recorder {
  readonly file: string;
  readonly #buffered: boolean;
  #descriptor: number;
  #pending = '';

  /** Creates `file`. It must not exist: another life of the same process takes another file. */
  constructor(file: string, name: string, options: FileRecorderOptions = {}) {
    super();
    this.file = file;
    this.#buffered = options.buffered ?? false;
    this.#descriptor = create(file);
    this.#pending = encodeOrigin(name, process.pid, monotonicNs());
    this.flush();
  }

  /** A recorder on `DIR/NAME-PID.history.jsonl`, which `historyFiles(DIR)` finds. */
  static in(directory: string, name: string, options?: FileRecorderOptions): FileRecorder {
    mkdirSync(directory, { recursive: true });
    return new FileRecorder(join(directory, `${name}-${process.pid}${HISTORY_SUFFIX}`), name, options);
  }

  protected append(event: HistoryEvent): void {
    this.#pending += encodeLine(event);
    if (!this.#buffered || this.#pending.length >= BUFFER_LIMIT_CHARS) this.flush();
  }

  /** Hands what was gathered to the kernel. Before each send, where the recorder is buffered. */
  flush(): void {
    if (this.#pending === '') return;
    if (this.#descriptor < 0) {
      throw new HistoryError('RECORDER_CLOSED', `${this.file}: recorded after close(); close the recorder last`);
    }
    const bytes = Buffer.from(this.#pending);
    this.#pending = '';
    let written = 0;
    while (written < bytes.length) written += writeSync(this.#descriptor, bytes, written);
  }

  close(): void {
    if (this.#descriptor < 0) return;
    this.flush();
    closeSync(this.#descriptor);
    this.#descriptor = -1;
  }
}

function create(file: string): number {
  try {
    return openSync(file, 'ax');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new HistoryError('FILE_EXISTS', `${file} exists: a history is never continued, choose another name`, {
      cause,
    });
  }
}
