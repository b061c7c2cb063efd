import type { Clock } from '../engine/clock.ts';
import type { MessageView } from '../engine/engine.ts';
import { readHeaders, rewriteProperties } from '../format/basic-properties.ts';
import type { FieldValue } from '../format/field-table.ts';
import { delayHeader, delayOf } from './delayed/delay-header.ts';
import { senderRoutes } from './publish-properties.ts';
import type { Route } from './route.ts';
import type { Vhost } from './vhost.ts';

/**
 * The route of a message whose headers count: a headers exchange lies on its way, they name more routing keys (CC, BCC), or they delay it.
 * Takes BCC out of the message. One that is delayed gets its `dueAt`, and carries its delay on as a negative number.
 * @throws BrokerError PRECONDITION_FAILED
 */
export function routeByHeaders(vhost: Vhost, route: Route, message: MessageView, clock: Clock): Route {
  const headers = readHeaders(message.head, message.propertiesStart, message.propertiesEnd) ?? null;
  const others = senderRoutes(headers);
  const delayMs = delayOf(headers);
  // Nobody who gets the message may see whom BCC names.
  const hidden = headers?.['BCC'] === undefined ? {} : { BCC: undefined };
  const delayed = delayMs === 0 ? {} : { [delayHeader]: -delayMs };
  if (headers !== null && (headers['BCC'] !== undefined || delayMs > 0)) {
    changeHeaders(message, { ...hidden, ...delayed });
  }
  if (delayMs > 0) message.dueAt = clock.now() + delayMs;
  if (!route.byHeaders && others.length === 0 && !(route.holds && delayMs > 0)) return route;
  const exchange = vhost.exchanges.require(route.exchange);
  return vhost.routes.routeWith(exchange, [route.routingKey, ...others], headers, message, delayMs > 0);
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
