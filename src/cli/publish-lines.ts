/**
 * Publishes the lines of a stream, many at a time and never more than a bound, and tells what became of them. Nothing is sent
 * behind a line that was not stored: what was sent before it was known is waited for, and told.
 */
import type { Readable } from 'node:stream';
import { asError, type ErrorCode, PostriderError } from '../api/errors.ts';
import { CommandError } from './command-error.ts';
import { exitCode, signalExitCode } from './exit-code.ts';
import { Interruption } from './interruption.ts';
import { checkJson } from './json-payload.ts';
import { LineSplitter, type Line } from './line-splitter.ts';
import { lineRanges } from './line-ranges.ts';
import { print } from './print.ts';
import { messages } from './table.ts';
import { exitCodeOf } from './verb.ts';

export interface LineTarget {
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

  constructor(input: Readable, target: LineTarget) {
    this.#input = input;
    this.#target = target;
  }

  /** Reads no more, at once, also while no line comes. */
  stop(): void {
    this.#stopped = true;
    this.#input.destroy();
  }

  async read(): Promise<void> {
    const splitter = new LineSplitter(longestLineBytes);
    try {
      for await (const chunk of this.#input as AsyncIterable<Buffer>) {
        for (const line of splitter.split(chunk)) {
          if (this.#stopped) return;
          this.#publish(line);
          while (this.#isFull) await this.#change();
        }
      }
    } catch (error) {
      if (this.#stopped) return;
      throw new CommandError(exitCode.failed, `can't read standard input: ${asError(error).message}`, { cause: error });
    }
    const rest = splitter.rest();
    if (rest !== null && !this.#stopped) this.#publish(rest);
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
        this.#settle(bytes.length);
      },
      (error: unknown) => {
        this.#failed(number, asError(error));
        this.#settle(bytes.length);
      },
    );
  }

  get #isFull(): boolean {
    return this.#inFlight >= mostInFlight || this.#bytesInFlight >= mostBytesInFlight;
  }

  #settle(bytes: number): void {
    this.#inFlight -= 1;
    this.#bytesInFlight -= bytes;
    this.#wake?.();
  }

  #failed(line: number, error: Error): void {
    this.#failures.push({ line, error });
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
