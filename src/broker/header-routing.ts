import type { MessageView } from '../engine/engine.ts';
import { readHeaders, rewriteProperties } from '../format/basic-properties.ts';
import { senderRoutes } from './publish-properties.ts';
import type { Route } from './route.ts';
import type { Vhost } from './vhost.ts';

/**
 * The route of a message whose headers count: a headers exchange lies on its way, or they name more routing keys (CC, BCC).
 * Takes BCC out of the message.
 * @throws BrokerError PRECONDITION_FAILED
 */
export function routeByHeaders(vhost: Vhost, route: Route, message: MessageView): Route {
  const headers = readHeaders(message.head, message.propertiesStart, message.propertiesEnd) ?? null;
  const others = senderRoutes(headers);
  if (headers !== null && headers['BCC'] !== undefined) removeHiddenRoutes(message);
  if (!route.byHeaders && others.length === 0) return route;
  const exchange = vhost.exchanges.require(route.exchange);
  return vhost.routes.routeWith(exchange, [route.routingKey, ...others], headers);
}

/** Nobody who gets the message may see whom BCC names. */
function removeHiddenRoutes(message: MessageView): void {
  const { head, envelopeStart, envelopeEnd, propertiesStart, propertiesEnd } = message;
  const properties = rewriteProperties(head, propertiesStart, propertiesEnd, { headers: { BCC: undefined } });
  message.head = Buffer.concat([head.subarray(envelopeStart, envelopeEnd), properties]);
  message.envelopeStart = 0;
  message.envelopeEnd = envelopeEnd - envelopeStart;
  message.propertiesStart = message.envelopeEnd;
  message.propertiesEnd = message.envelopeEnd + properties.length;
}
