import type { Clock } from '../engine/clock.ts';
import type { Engine } from '../engine/engine.ts';
import { EngineError } from '../engine/errors.ts';
import { BrokerError } from './broker-error.ts';
import type { BrokerSettings } from './broker-settings.ts';
import type { TransactionBudget } from './transaction/transaction-budget.ts';
import type { LettersUnderWay } from './dead-letter/letters-under-way.ts';
import type { HeldMessages } from './delayed/held-messages.ts';

/** What every part of one broker stands on. */
export interface BrokerContext {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly settings: BrokerSettings;
  readonly transactions: TransactionBudget;
  readonly lettersUnderWay: LettersUnderWay;
  readonly held: HeldMessages;
  /** One line for an operator. */
  readonly log: (line: string) => void;
}

/** What an engine refuses, in the broker's words. */
export function brokerError(error: unknown, what: string): BrokerError {
  if (error instanceof BrokerError) return error;
  if (error instanceof EngineError) {
    const code = error.code === 'UNSUPPORTED' ? 'PRECONDITION_FAILED' : 'INTERNAL_ERROR';
    return new BrokerError(code, `${what}: ${error.message}`, { cause: error });
  }
  return new BrokerError('INTERNAL_ERROR', `${what} failed`, { cause: error });
}
