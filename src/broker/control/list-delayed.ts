import type { WaitingMessage } from '../../engine/engine.ts';
import { decodeProperties } from '../../format/basic-properties.ts';
import { plainTable } from '../../format/field-json.ts';
import type { ConnectionScope } from '../connection-scope.ts';
import { readEnvelope } from '../envelope.ts';
import type { Session } from '../session.ts';
import type { ControlRequest } from './control-request.ts';
import type { ControlResult, ControlVerb } from './control-verb.ts';
import { delayedPlace } from './delayed-place.ts';

const mostListed = 1_000;
/** Of the envelopes and properties on a page, but for one message more. */
const mostBytes = 1024 * 1024;
/** The last listing of each connection: the next one waits until it is over. */
const listings = new WeakMap<ConnectionScope, Promise<unknown>>();

/** Messages that wait until they are due, a page at a time. Needs read on the queue or exchange. */
export const listDelayed: ControlVerb = {
  name: 'list-delayed',
  fields: ['queue', 'exchange', 'after', 'limit'],
  run(request, session) {
    const limit = request.optionalCount('limit', 1, mostListed) ?? 100;
    const after = request.optionalCount('after') ?? 0;
    const list = () => page(request, session, after, limit);
    const before = listings.get(session.connection);
    const listing = before === undefined ? list() : before.then(list);
    const over = (): undefined => undefined;
    listings.set(session.connection, listing.then(over, over));
    return listing;
  },
};

async function page(request: ControlRequest, session: Session, after: number, limit: number): Promise<ControlResult> {
  const place = await delayedPlace(request, session, 'read');
  const { engine } = session.broker;
  const { delayed } = await engine.stats(place);
  // Those that became due while they were looked for leave a gap: so one more says whether there are more.
  const found = await engine.waiting(place, after, limit + 1, mostBytes);
  const messages = found.slice(0, limit);
  const bytes = found.reduce((sum, { envelope, properties }) => sum + envelope.length + properties.length, 0);
  const more = found.length > limit || bytes >= mostBytes;
  return { delayed, messages: messages.map(described), next: more ? messages.at(-1)!.number : null };
}

function described({ number, dueAt, storedAt, envelope, properties, bodyBytes }: WaitingMessage) {
  const { headers, ...others } = decodeProperties(properties, 0, properties.length);
  // Stored with what an exchange holds, to route by.
  const { BCC: _hidden, ...shown } = headers ?? {};
  return {
    id: number,
    dueAt,
    storedAt,
    ...readEnvelope(envelope, 0),
    bytes: bodyBytes,
    properties: headers === undefined ? others : { ...others, headers: plainTable(shown) },
  };
}
