import { BrokerError } from '../broker-error.ts';
import { ControlRequest } from './control-request.ts';
import { badRequest, type ControlResult, type ControlVerb } from './control-verb.ts';

export type ControlAnswer =
  (ControlResult & { readonly ok: true }) | { readonly ok: false; readonly code: string; readonly message: string };

/** Runs the verb that a request names. Never rejects; `bug` is told of what no verb should throw. */
export async function answerControl<Caller>(
  json: string,
  verbs: readonly ControlVerb<Caller>[],
  caller: Caller,
  bug: (error: unknown) => void,
): Promise<ControlAnswer> {
  try {
    const request = ControlRequest.parse(json);
    const verb = verbs.find(({ name }) => name === request.verb);
    if (verb === undefined) throw badRequest(`there is no verb ${JSON.stringify(request.verb.slice(0, 100))}`);
    request.requireOnly(verb);
    return { ...(await verb.run(request, caller)), ok: true };
  } catch (error) {
    return refusal(error, bug);
  }
}

export function refusal(error: unknown, bug: (error: unknown) => void): ControlAnswer {
  if (error instanceof BrokerError) return { ok: false, code: error.code, message: error.message };
  bug(error);
  return { ok: false, code: 'INTERNAL_ERROR', message: 'see the log of the broker' };
}
