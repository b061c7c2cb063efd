import { freshName } from '../loads.ts';
import type { MqttLoad } from './load.ts';
import type { Qos } from './packet.ts';

/** What the loads share unless a row says otherwise; the same for every broker. */
const usual = { bodyBytes: 100, window: 100, maxAhead: 10_000 };

export interface MqttShape {
  qos: Qos;
  publishers?: number;
  subscribers?: number;
  /** Unacknowledged messages a publisher, QoS 1 and 2. */
  window?: number;
  /** The subscriber's session outlives its connection. */
  durable?: boolean;
}

/** Publishers with a topic each, and subscribers to all of these topics by a wildcard. */
export function topics(shape: MqttShape): MqttLoad {
  const prefix = freshName('mqtt');
  const publishers = shape.publishers ?? 1;
  const names = Array.from({ length: publishers }, (_, stream) => `${prefix}/${String(stream).padStart(4, '0')}`);
  return loadOf(shape, names, publishers === 1 ? `${prefix}/0000` : `${prefix}/+`);
}

/** One publisher and one subscriber; beside them `others` subscriptions with wildcards, each near the topic and none matching. */
export function besideSubscriptions(qos: Qos, others: number): MqttLoad {
  const prefix = freshName('site');
  const number = (value: number): string => String(value).padStart(5, '0');
  const shapes = [
    (index: number) => `${prefix}/+/sensor/${number(index)}/#`,
    (index: number) => `${prefix}/7/+/${number(index)}/+`,
    (index: number) => `+/7/sensor/${number(index)}/temperature`,
    (index: number) => `${prefix}/+/+/${number(index)}/#`,
  ];
  const load = loadOf({ qos }, [`${prefix}/7/sensor/${number(0)}/temperature`], `${prefix}/+/sensor/${number(0)}/#`);
  const bystanders = Array.from({ length: others }, (_, index) => shapes[index % shapes.length]?.(1 + index) ?? '');
  return { ...load, bystanders };
}

function loadOf(shape: MqttShape, names: readonly string[], filter: string): MqttLoad {
  const { qos, durable = false } = shape;
  const window = qos === 0 ? usual.maxAhead : (shape.window ?? usual.window);
  // Twice the window, so that acknowledgements out of order do not hold the publisher up.
  const common = { qos, bodyBytes: usual.bodyBytes, ring: qos === 0 ? window : 2 * window };
  const clients = freshName('s');
  return {
    maxAhead: usual.maxAhead,
    publishers: names.map((topic, stream) => ({ ...common, topic, stream, window })),
    subscribers: Array.from({ length: shape.subscribers ?? 1 }, (_, index) => ({
      ...common,
      clientId: `${clients}-${index}`,
      cleanSession: !durable,
      filter,
      streams: names.length,
    })),
  };
}
