import { BrokerError } from '../broker-error.ts';
import { administratorTag } from '../principal.ts';
import type { Session } from '../session.ts';
import type { ControlRequest } from './control-request.ts';
import type { ControlResult, ControlVerb } from './control-verb.ts';

/** A verb for users with the tag administrator alone. */
export function administratorVerb(
  name: string,
  fields: readonly string[],
  run: (request: ControlRequest, session: Session) => ControlResult | Promise<ControlResult>,
): ControlVerb {
  return {
    name,
    fields,
    run: (request, session) => {
      const { user, tags } = session.principal;
      if (!tags.includes(administratorTag)) {
        throw new BrokerError('ACCESS_REFUSED', `${name} is for administrators, and user '${user}' is none`);
      }
      return run(request, session);
    },
  };
}
