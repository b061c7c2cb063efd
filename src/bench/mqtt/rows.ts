import type { ComparedRow, Goal, Metric, Row, Sample } from '../row.ts';
import { connectRate, manyConnections, memoryOfIdle } from './connection-rows.ts';
import type { MqttLoad } from './load.ts';
import { runMqttLoad, type MqttBroker, type MqttResult } from './load-run.ts';
import { besideSubscriptions, topics } from './loads.ts';
import type { Qos } from './packet.ts';

const required = (ratio: number): Goal => ({ tier: 'required', ratio });
const target = (ratio: number): Goal => ({ tier: 'target', ratio });
const absolute = (value: number): Goal => ({ tier: 'required', value });

const rate = (...goals: Goal[]): Metric => ({ id: 'rate', label: 'rate', unit: 'msg/s', better: 'higher', goals });

/** The other subscriptions beside which one matches. */
const others = 9999;

/** Every row of the suite, in the order in which they run. */
export const rows: readonly Row<MqttBroker>[] = [
  throughput('mqtt-qos0', 'QoS 0', () => topics({ qos: 0 }), [required(5), target(10)], true),
  throughput('mqtt-qos1', 'QoS 1', () => topics({ qos: 1 }), [required(2.5), target(5)], true),
  throughput('mqtt-qos2', 'QoS 2', () => topics({ qos: 2 }), [required(3), target(6)]),
  throughput('mqtt-50-publishers', 'QoS 1, 50 publishers', () => topics({ qos: 1, publishers: 50 }), [
    required(3),
    target(6),
  ]),
  throughput('mqtt-fanout-10', 'QoS 0, 10 subscribers, deliveries', () => topics({ qos: 0, subscribers: 10 }), [
    required(4),
    target(8),
  ]),
  throughput('mqtt-5000-sensors', 'QoS 1, 5,000 sensors', () => topics({ qos: 1, publishers: 5000, window: 1 }), [
    required(1),
    target(2),
  ]),
  throughput('mqtt-durable', 'QoS 1, durable session (peers do not sync)', () => topics({ qos: 1, durable: true }), [
    required(2.5),
    target(5),
  ]),
  besideRow('mqtt-qos0-subscriptions', 0),
  besideRow('mqtt-qos1-subscriptions', 1),
  {
    id: 'mqtt-connects',
    title: '5,000 clients connect',
    kind: 'compared',
    quick: false,
    metrics: [{ id: 'rate', label: 'rate', unit: 'connects/s', better: 'higher', goals: [absolute(4500)] }],
    run: (broker) => connectRate(broker),
  },
  {
    id: 'mqtt-memory-connection',
    title: 'an idle connection',
    kind: 'solo',
    metrics: [{ id: 'each', label: 'memory each', unit: 'KB', better: 'lower', goals: [absolute(12)] }],
    run: memoryOfIdle,
  },
  {
    id: 'mqtt-20000-connections',
    title: '20,000 connections with a subscription each',
    kind: 'solo',
    metrics: [{ id: 'resident', label: 'resident in all', unit: 'MB', better: 'lower', goals: [absolute(500)] }],
    run: manyConnections,
  },
];

/** The figure is the slower side's: what only piles up does not count. */
function throughput(
  id: string,
  title: string,
  load: () => MqttLoad,
  goals: Goal[],
  quick = false,
): ComparedRow<MqttBroker> {
  return {
    id,
    title,
    kind: 'compared',
    quick,
    metrics: [rate(...goals)],
    async run(broker, timing) {
      const shape = load();
      return sampleOf(shape, await runMqttLoad(broker, shape, timing));
    },
  };
}

/** The same load twice: with one subscription, and with that one among many. */
function besideRow(id: string, qos: Qos): ComparedRow<MqttBroker> {
  return {
    id,
    title: `QoS ${qos} beside 10,000 subscriptions`,
    kind: 'compared',
    quick: false,
    metrics: [rate(), { id: 'kept', label: 'kept', unit: '%', better: 'higher', goals: [absolute(90)] }],
    async run(broker, timing) {
      const single = besideSubscriptions(qos, 0);
      const alone = sampleOf(single, await runMqttLoad(broker, single, timing));
      const crowd = besideSubscriptions(qos, others);
      const beside = sampleOf(crowd, await runMqttLoad(broker, crowd, timing));
      const [aloneRate, rateBeside] = [alone.values.rate ?? 0, beside.values.rate ?? 0];
      const integrity = alone.integrity?.problem === '' ? beside.integrity : alone.integrity;
      return {
        ...beside,
        ...(integrity === undefined ? {} : { integrity }),
        values: { rate: rateBeside, kept: (rateBeside / aloneRate) * 100 },
        detail: { ...beside.detail, aloneRate },
      };
    },
  };
}

function sampleOf(
  { subscribers }: MqttLoad,
  { publishedPerS, consumedPerS, cpu, integrity, lost }: MqttResult,
): Sample {
  return {
    values: { rate: Math.min(publishedPerS * subscribers.length, consumedPerS) },
    detail: {
      publishedPerS,
      consumedPerS,
      ...(cpu.broker === undefined ? {} : { brokerCpus: cpu.broker }),
      producerCpus: cpu.producer,
      consumerCpus: cpu.consumer,
    },
    integrity,
    ...(lost === 0 ? {} : { remark: `${lost} of ${integrity.expected} messages of QoS 0 were lost` }),
  };
}
