/**
 * Publishes the lines of a stream, many at a time and never more than a bound, and tells what became of them. Nothing is sent
 * behind a line that was not stored: what was sent before it was known is waited for, and told. Nor is anything while the broker is
 * away: it might be stored behind lines of which nobody knows yet that they are lost.
 */
import type { Readable } from 'node:stream';
import { asError, type ErrorCode, PostriderError } from '../api/errors.ts';
import type { Mq } from '../api/mq.ts';
import { type Absence, tooLong } from './absence.ts';
import { CommandError } from './command-error.ts';
import { exitCode, signalExitCode } from './exit-code.ts';
import { Interruption } from './interruption.ts';
import { checkJson } from './json-payload.ts';
import { LineSplitter, type Line } from './line-splitter.ts';
import { lineRanges } from './line-ranges.ts';
import { patienceMs } from './patience.ts';
import { print } from './print.ts';
import { messages } from './table.ts';
import { exitCodeOf } from './verb.ts';

export interface LineTarget {
  /** Closed when nothing more is to be sent: what can't be sent now never is then. */
  readonly mq: Mq;
  readonly absence: Absence;
  /** Resolves once the message is stored. */
  readonly send: (bytes: Uint8Array, line: number) => Promise<void>;
  /** What becomes of a message: "stored in queue 'orders'". */
  readonly told: string;
  /** Each line must be JSON, and the result is told as JSON. */
  readonly json: boolean;
}

interface Failure {
  readonly line: number;
  readonly error: Error;
}

const mostInFlight = 1_000;
const mostBytesInFlight = 16 * 1024 * 1024;
/** As long as RabbitMQ takes them. */
const longestLineBytes = 128 * 1024 * 1024;

export async function publishLines(input: Readable, target: LineTarget): Promise<void> {
  const run = new LineRun(input, target);
  const interruption = new Interruption(() => run.stop());
  if ((input as { isTTY?: boolean }).isTTY === true) process.stderr.write('each line is a message; Ctrl-D ends\n');
  try {
    await run.read();
    await run.settled();
  } finally {
    interruption.release();
  }
  await run.tell();
  if (interruption.by !== null) process.exitCode = signalExitCode[interruption.by];
}

class LineRun {
  readonly #input: Readable;
  readonly #target: LineTarget;
  readonly #failures: Failure[] = [];
  #stored = 0;
  #lastLine = 0;
  #inFlight = 0;
  #bytesInFlight = 0;
  #stopped = false;
  #wake: (() => void) | null = null;
  /** On this connection a line was stored: until then one is sent at a time, and the others learn whether it can be done at all. */
  #proven = false;
  /** A line waits to be sent. */
  #holds = false;
  #late: NodeJS.Timeout | null = null;
  /** Why the broker is waited for no more. */
  #gone: PostriderError | null = null;

  constructor(input: Readable, target: LineTarget) {
    this.#input = input;
    this.#target = target;
    target.absence.changed = () => {
      this.#proven = false;
      this.#watchAbsence();
      this.#wake?.();
    };
  }

  /** Reads and sends no more, at once, also while no line comes. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#input.destroy();
    this.#wake?.();
    // Whoever opened it closes it too, and sees how that ends.
    this.#target.mq.close({ graceMs: 0 }).catch(() => undefined);
  }

  async read(): Promise<void> {
    const splitter = new LineSplitter(longestLineBytes);
    try {
      for await (const chunk of this.#input as AsyncIterable<Buffer>) {
        for (const line of splitter.split(chunk)) {
          if (this.#stopped || (this.#mustWait && !(await this.#room(line.number)))) return;
          this.#publish(line);
        }
      }
    } catch (error) {
      if (this.#stopped) return;
      throw new CommandError(exitCode.failed, `can't read standard input: ${asError(error).message}`, { cause: error });
    }
    const rest = splitter.rest();
    if (rest === null || this.#stopped || (this.#mustWait && !(await this.#room(rest.number)))) return;
    this.#publish(rest);
  }

  async settled(): Promise<void> {
    while (this.#inFlight > 0) await this.#change();
  }

  /** @throws CommandError when something was not stored */
  async tell(): Promise<void> {
    const { told, json } = this.#target;
    const failures = this.#failures.sort((a, b) => a.line - b.line);
    if (json) {
      const failed = failures.map(({ line, error }) => ({ line, code: codeOf(error), error: error.message }));
      await print([JSON.stringify({ stored: this.#stored, failed })]);
    } else if (failures.length === 0) {
      await print([`${messages(this.#stored)} ${told}`]);
    }
    const first = failures[0];
    if (first === undefined) return;
    const unknown = failures.filter(({ error }) => codeOf(error) === 'UNKNOWN_OUTCOME');
    const refused = failures.filter((failure) => !unknown.includes(failure));
    const lines = [
      ...(refused.length === 0 ? [] : [`${linesOf(refused)} not ${told}`]),
      ...(unknown.length === 0 ? [] : [`${linesOf(unknown, 'may be', 'may be')} ${told}, or not`]),
    ];
    throw new CommandError(
      first.error instanceof PostriderError ? exitCodeOf(first.error) : exitCode.failed,
      `${lines.join('; ')}: ${first.error.message} (${messages(this.#stored)} stored, nothing sent behind line ${this.#lastLine})`,
      { cause: first.error },
    );
  }

  #publish({ number, bytes }: Line): void {
    this.#lastLine = number;
    if (bytes === null) {
      this.#failed(
        number,
        new PostriderError('TOO_LARGE', `it is longer than ${longestLineBytes.toLocaleString('en-US')} bytes`),
      );
      return;
    }
    if (this.#target.json) {
      if (isBlank(bytes)) return;
      const fault = checkJson(bytes);
      if (fault !== null) {
        this.#failed(number, new PostriderError('INVALID_PAYLOAD', `it is no JSON: ${fault}`));
        return;
      }
    }
    this.#inFlight += 1;
    this.#bytesInFlight += bytes.length;
    this.#target.send(bytes, number).then(
      () => {
        this.#stored += 1;
        this.#proven = true;
        this.#settle(bytes.length);
      },
      (error: unknown) => {
        this.#failed(number, asError(error));
        this.#settle(bytes.length);
      },
    );
  }

  get #mustWait(): boolean {
    const most = this.#proven ? mostInFlight : 1;
    return this.#target.absence.why !== null || this.#inFlight >= most || this.#bytesInFlight >= mostBytesInFlight;
  }

  /** Waits until the line may be sent. False: nothing more is sent. */
  async #room(line: number): Promise<boolean> {
    this.#holds = true;
    this.#watchAbsence();
    while (!this.#stopped && this.#mustWait) await this.#change();
    this.#holds = false;
    this.#watchAbsence();
    if (!this.#stopped) return true;
    if (this.#gone !== null) {
      this.#lastLine = line;
      this.#failures.push({ line, error: this.#gone });
    }
    return false;
  }

  /** While no line waits for the broker it may be away for as long as it likes. */
  #watchAbsence(): void {
    const { why } = this.#target.absence;
    if (why !== null && (this.#holds || this.#inFlight > 0)) {
      this.#late ??= setTimeout(() => {
        this.#gone = tooLong(why);
        this.stop();
      }, patienceMs);
    } else if (this.#late !== null) {
      clearTimeout(this.#late);
      this.#late = null;
    }
  }

  #settle(bytes: number): void {
    this.#inFlight -= 1;
    this.#bytesInFlight -= bytes;
    if (this.#late !== null) this.#watchAbsence();
    this.#wake?.();
  }

  #failed(line: number, error: Error): void {
    const unsent =
      codeOf(error) === 'CLOSED' ? (this.#gone ?? new PostriderError('ABORTED', 'stopped before it was sent')) : error;
    this.#failures.push({ line, error: unsent });
    this.stop();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }
}

function linesOf(failures: readonly Failure[], one = 'was', many = 'were'): string {
  const lines = lineRanges(failures.map(({ line }) => line));
  return failures.length === 1 ? `line ${lines} ${one}` : `lines ${lines} ${many}`;
}

function codeOf(error: Error): ErrorCode {
  return error instanceof PostriderError ? error.code : 'INTERNAL';
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09);
}
