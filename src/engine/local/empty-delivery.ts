import type { DeliveryView, EngineQueue } from '../engine.ts';

/** A flyweight before it is filled. */
export function emptyDelivery(): DeliveryView {
  const nothing = Buffer.alloc(0);
  return {
    queue: null as unknown as EngineQueue,
    number: 0,
    redelivered: false,
    deliveryCount: 0,
    storedAt: 0,
    envelopeId: 0,
    head: nothing,
    envelopeStart: 0,
    envelopeEnd: 0,
    propertiesStart: 0,
    propertiesEnd: 0,
    body: nothing,
    bodyStart: 0,
    bodyEnd: 0,
    expiresAt: 0,
    priority: 0,
    dueAt: 0,
    identity: null,
  };
}
