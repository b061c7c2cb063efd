import type { DeliveryView } from '../engine/engine.ts';
import { rewriteProperties } from '../format/basic-properties.ts';
import type { Queue } from './queue.ts';

/** Whether redeliveries from this queue say how many deliveries there were before. */
export function countsDeliveries(queue: Queue): boolean {
  return queue.settings.type === 'quorum' || queue.settings.deliveryLimit !== null;
}

/** The delivery with a header that tells how often it was delivered before, as RabbitMQ's quorum queues tell it. */
export function withDeliveryCount(delivery: DeliveryView): DeliveryView {
  const { head, envelopeStart, envelopeEnd, propertiesStart, propertiesEnd } = delivery;
  const properties = rewriteProperties(head, propertiesStart, propertiesEnd, {
    headers: { 'x-delivery-count': BigInt(delivery.deliveryCount) },
  });
  const envelopeBytes = envelopeEnd - envelopeStart;
  return {
    ...delivery,
    head: Buffer.concat([head.subarray(envelopeStart, envelopeEnd), properties]),
    envelopeStart: 0,
    envelopeEnd: envelopeBytes,
    propertiesStart: envelopeBytes,
    propertiesEnd: envelopeBytes + properties.length,
  };
}
