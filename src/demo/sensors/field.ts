/** What the sensors measure, and where it goes: names and numbers that all programs of the scene share. */

/** Of Postrider and RabbitMQ alike: where MQTT's topics are. */
export const exchange = 'amq.topic';
/** Durable; it takes what the sensors publish. */
export const queue = 'readings';
/** MQTT's `sensors/+/temperature`. */
export const bindingKey = 'sensors.*.temperature';

/** Each sensor publishes so many readings, so many times. */
export const bursts = 3;
export const readingsPerBurst = 4;

export const groups = 8;

export interface Reading {
  readonly id: string;
  readonly sensor: number;
  readonly celsius: number;
}

/** Sensors count from 1. */
export function topicOf(sensor: number): string {
  return `sensors/${sensor}/temperature`;
}

export function clientOf(sensor: number): string {
  return `sensor-${sensor}`;
}

/** From 0. */
export function groupOf(sensor: number): number {
  return sensor % groups;
}

/** Each group a degree warmer than the one before; sensors and readings differ a little. */
export function celsiusOf(sensor: number, sequence: number): number {
  const noise = ((sensor * 7919 + sequence * 104_729) % 200) - 100;
  return Math.round((18 + groupOf(sensor)) * 100 + noise) / 100;
}

/** What the process of the sensors is told. */
export interface SensorsPart {
  readonly port: number;
  readonly sensors: number;
  readonly historyDirectory: string;
}

/** What the aggregator is told. */
export interface AggregatorPart {
  readonly url: string;
  readonly historyDirectory: string;
}

/** Counts of all sensors. */
export interface SensorsReport {
  readonly connected: number;
  /** Connections whose session the broker still had. */
  readonly resumed: number;
  /** Readings that were sent at least once. */
  readonly sent: number;
  readonly confirmed: number;
  /** Attempts whose connection broke before their answer came. */
  readonly unknown: number;
  /** Sent, and not answered yet. */
  readonly open: number;
  /** Taken while there was no connection; not sent yet. */
  readonly waiting: number;
  /** Bursts of which every sensor has taken its readings. */
  readonly taken: number;
}

export interface AggregatorReport {
  readonly received: number;
  readonly redelivered: number;
  /** Received, and not acknowledged yet. */
  readonly open: number;
  readonly ready: boolean;
  /** Of each group, over its readings, each counted once; null: it has none. */
  readonly means: readonly (number | null)[];
}
