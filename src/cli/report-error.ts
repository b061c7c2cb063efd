/** The last stop of every error: one line, and an exit code. The stack is for those who ask for it. */
import { inspect } from 'node:util';
import { writeSync } from 'node:fs';
import { EngineError, type EngineErrorCode } from '../engine/errors.ts';
import { ConfigError } from '../config/config-error.ts';
import { CommandError } from './command-error.ts';
import { exitCode, type ExitCode } from './exit-code.ts';
import { printableLine } from './printable.ts';

const ofEngine: Partial<Record<EngineErrorCode, ExitCode>> = {
  LOCKED: exitCode.data,
  FOREIGN: exitCode.data,
  NEWER: exitCode.data,
  CORRUPT: exitCode.data,
  UNWRITABLE: exitCode.data,
  FULL: exitCode.data,
  IO: exitCode.engine,
};

/** The text that tells of `error`, and the exit code that goes with it. */
export function errorReport(error: unknown): { readonly text: string; readonly code: ExitCode } {
  const [line, code] = describe(error);
  const text = `postrider: ${printableLine(line)}`;
  return { text: process.env.POSTRIDER_DEBUG ? `${text}\n${inspect(error)}` : text, code };
}

/** Tells of `error` on standard error. */
export function reportError(error: unknown): ExitCode {
  const { text, code } = errorReport(error);
  writeNow(`${text}\n`);
  return code;
}

/** One line for whoever runs the program; what follows the first (a stack) is for those who ask for it. */
export function say(line: string): void {
  writeNow(lineOf(line));
}

export function lineOf(line: string): string {
  return `postrider: ${process.env.POSTRIDER_DEBUG ? line : printableLine(line.trim().split('\n', 1)[0]!)}\n`;
}

/** Synchronous: the process may be about to exit, and standard error may be a pipe. */
export function writeNow(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // Standard error is gone; there is nobody to tell.
  }
}

function describe(error: unknown): [line: string, code: ExitCode] {
  if (error instanceof CommandError) return [oneLine(error.message), error.exitCode];
  if (error instanceof ConfigError) return [oneLine(error.message), exitCode.usage];
  if (error instanceof EngineError) return [oneLine(error.message), ofEngine[error.code] ?? exitCode.failed];
  const message = error instanceof Error ? error.message : String(error);
  return [`internal error: ${oneLine(message)} (POSTRIDER_DEBUG=1 shows the stack)`, exitCode.failed];
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, ' ');
}
