/**
 * What a client can ask for that AMQP has no method for: a JSON object with a `verb` and its fields, answered with JSON.
 *
 *   {"verb": "who-am-i"}  ->  {"ok": true, "user": "guest", ...}   or   {"ok": false, "code": "NOT_FOUND", "message": "..."}
 *
 * One file a verb, one line of it in `verbs.ts`. A verb asks for the permissions that it needs itself.
 */
import { BrokerError } from '../broker-error.ts';
import type { Session } from '../session.ts';
import type { ControlRequest } from './control-request.ts';

/** What a verb answers beside `ok`. */
export type ControlResult = Readonly<Record<string, unknown>>;

export interface ControlVerb<Caller = Session> {
  /** As requests spell it: `list-users`. */
  readonly name: string;
  /** Names of the fields that it reads; a request with another is refused. */
  readonly fields: readonly string[];
  /**
   * Called within the turn in which the request came, in its place among what its channel sent, while no batch is open. What it throws
   * is the answer: a `BrokerError` with its code and text, anything else as an internal error.
   */
  run(request: ControlRequest, caller: Caller): ControlResult | Promise<ControlResult>;
}

/** Of a request that can't be understood: no JSON object, no such verb, a field that is wrong. */
export function badRequest(message: string): BrokerError {
  return new BrokerError('COMMAND_INVALID', message);
}
