import type { Coverage } from './coverage.ts';

/** Every kind of call of the `Files` seam. */
export const fileCalls = [
  'makeDirectory',
  'list',
  'open',
  'create',
  'rename',
  'unlink',
  'syncDirectory',
  'lock',
  'read',
  'write',
  'append',
  'sync',
  'truncate',
  'size',
  'close',
] as const;
export type FileCall = (typeof fileCalls)[number];

export type FaultCode = 'EIO' | 'ENOSPC' | 'EMFILE';

export interface FiredFault {
  readonly call: FileCall;
  readonly path: string;
  readonly code: FaultCode;
  readonly step: number;
}

interface Armed {
  readonly call: FileCall;
  readonly code: FaultCode;
  /** Calls of that kind to let pass before. */
  skip: number;
  /** How many calls then fail. */
  times: number;
}

/** Which calls of a simulated process fail. */
export class Faults {
  readonly fired: FiredFault[] = [];
  readonly #coverage: Coverage;
  #armed: Armed[] = [];

  constructor(coverage: Coverage) {
    this.#coverage = coverage;
  }

  arm(call: FileCall, code: FaultCode, skip: number, times = 1): void {
    this.#armed.push({ call, code, skip, times });
  }

  disarm(): void {
    this.#armed = [];
  }

  /** Whether this call fails, and how. */
  next(call: FileCall, path: string, step: number): FaultCode | null {
    for (let i = 0; i < this.#armed.length; i++) {
      const armed = this.#armed[i]!;
      if (armed.call !== call || armed.skip-- > 0) continue;
      if (--armed.times <= 0) this.#armed.splice(i, 1);
      this.note(call, path, armed.code, step);
      return armed.code;
    }
    return null;
  }

  note(call: FileCall, path: string, code: FaultCode, step: number): void {
    this.fired.push({ call, path, code, step });
    this.#coverage.add(`fault.${call}-${code}`);
  }
}

export function systemError(code: string, call: string, path: string): NodeJS.ErrnoException {
  // Most are expected, and a stack costs more than all the rest of a call.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const error: NodeJS.ErrnoException = new Error(`${code}: simulated, ${call} '${path}'`);
  Error.stackTraceLimit = stackTraceLimit;
  error.code = code;
  error.syscall = call;
  error.path = path;
  return error;
}
