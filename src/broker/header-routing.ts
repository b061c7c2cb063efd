import type { Clock } from '../engine/clock.ts';
import type { MessageView } from '../engine/engine.ts';
import { readHeaders, rewriteProperties } from '../format/basic-properties.ts';
import type { FieldTable, FieldValue } from '../format/field-table.ts';
import { delayHeader, delayOf } from './delayed/delay-header.ts';
import { delayAt, senderRoutes } from './publish-properties.ts';
import type { Principal } from './principal.ts';
import type { Route } from './route.ts';
import { requireTopic } from './permission.ts';
import type { Vhost } from './vhost.ts';

/** Whose message it is. */
interface Publisher {
  readonly vhost: Vhost;
  readonly principal: Principal;
}

/** Of a 64-bit integer in a field table. */
const longLetter = 0x6c;

/**
 * The route of a message whose headers count: a headers exchange lies on its way, they name more routing keys (CC, BCC), or they delay it.
 * Takes BCC out of the message, unless exchanges alone hold it until it is due: `HeldMessage` does so then. One that is delayed gets its
 * `dueAt`, and carries its delay on as a negative number.
 * @throws BrokerError PRECONDITION_FAILED; ACCESS_REFUSED for a topic that CC or BCC names
 */
export function routeByHeaders(publisher: Publisher, route: Route, message: MessageView, clock: Clock): Route {
  if (!route.byHeaders && !route.holds && delay(message, clock)) return route;
  const headers = readHeaders(message.head, message.propertiesStart, message.propertiesEnd) ?? null;
  const others = senderRoutes(headers);
  const delayMs = delayOf(headers);
  const found = routeOf(publisher, route, headers, others, message, delayMs > 0);
  // Nobody who gets the message may see whom BCC names.
  const hides = headers?.['BCC'] !== undefined && !found.held;
  if (headers !== null && (hides || delayMs > 0)) {
    const delayed = delayMs === 0 ? {} : { [delayHeader]: -delayMs };
    changeHeaders(message, hides ? { BCC: undefined, ...delayed } : delayed);
  }
  if (delayMs > 0) message.dueAt = clock.now() + delayMs;
  return found;
}

function routeOf(
  { vhost, principal }: Publisher,
  route: Route,
  headers: FieldTable | null,
  others: readonly string[],
  message: MessageView,
  isDelayed: boolean,
): Route {
  if (!route.byHeaders && others.length === 0 && !(route.holds && isDelayed)) return route;
  const exchange = vhost.exchanges.require(route.exchange);
  if (exchange.byTopic) {
    for (const routingKey of others) requireTopic(principal, vhost.name, exchange.name, 'write', routingKey, null);
  }
  return vhost.routes.routeWith(exchange, [route.routingKey, ...others], headers, message, isDelayed);
}

/** Hot. Delays a message whose headers say that and nothing else that counts here. False: they want a proper look. */
function delay(message: MessageView, clock: Clock): boolean {
  const { head, envelopeStart, envelopeEnd, propertiesStart, propertiesEnd } = message;
  const at = delayAt(head, propertiesStart, propertiesEnd);
  if (at < 0) return false;
  const isLong = head[at] === longLetter;
  const delayMs = isLong ? Number(head.readBigInt64BE(at + 1)) : head.readInt32BE(at + 1);
  if (!Number.isSafeInteger(delayMs)) return false;
  if (delayMs <= 0) return true;
  // Whoever published it may publish the same bytes again.
  const envelopeBytes = envelopeEnd - envelopeStart;
  const copy = Buffer.allocUnsafe(envelopeBytes + propertiesEnd - propertiesStart);
  head.copy(copy, 0, envelopeStart, envelopeEnd);
  head.copy(copy, envelopeBytes, propertiesStart, propertiesEnd);
  const copyAt = envelopeBytes + at - propertiesStart;
  if (isLong) copy.writeBigInt64BE(BigInt(-delayMs), copyAt + 1);
  else copy.writeInt32BE(-delayMs, copyAt + 1);
  message.head = copy;
  message.envelopeStart = 0;
  message.envelopeEnd = envelopeBytes;
  message.propertiesStart = envelopeBytes;
  message.propertiesEnd = copy.length;
  message.dueAt = clock.now() + delayMs;
  return true;
}

function changeHeaders(message: MessageView, headers: Readonly<Record<string, FieldValue | undefined>>): void {
  const { head, envelopeStart, envelopeEnd, propertiesStart, propertiesEnd } = message;
  const properties = rewriteProperties(head, propertiesStart, propertiesEnd, { headers });
  message.head = Buffer.concat([head.subarray(envelopeStart, envelopeEnd), properties]);
  message.envelopeStart = 0;
  message.envelopeEnd = envelopeEnd - envelopeStart;
  message.propertiesStart = message.envelopeEnd;
  message.propertiesEnd = message.envelopeEnd + properties.length;
}
