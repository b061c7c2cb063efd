import type { Running } from '../broker.ts';
import type { ConsumerEnd } from '../load.ts';
import { LoadProcess } from '../load-process.ts';
import { describe, type Integrity } from '../load-run.ts';
import { LoadSides, type Rates, type Timing } from '../load-sides.ts';
import { isClean } from '../tally.ts';
import type { MqttAddress } from './connection.ts';
import type { MqttConsumerOpened, MqttConsumerRequest, MqttLoad, MqttProducerRequest } from './load.ts';

/** A broker of MQTT that is up. */
export interface MqttBroker extends Running {
  readonly address: MqttAddress;
}

export interface MqttResult extends Rates {
  integrity: Integrity;
  /** QoS 0 may lose: so many. */
  lost: number;
}

/** What did not come for so long is lost, where messages may be. */
const patienceWithLossMs = 2000;
/** Publishers are told for each such part of what they may be ahead. */
const creditFraction = 1 / 8;

/** One whole round: subscribes, publishes for a while, waits for the rest, judges what came. */
export async function runMqttLoad(broker: MqttBroker, load: MqttLoad, timing: Timing): Promise<MqttResult> {
  const { address, pid } = broker;
  const producer = new LoadProcess<MqttProducerRequest>('mqtt/producer');
  const consumer = new LoadProcess<MqttConsumerRequest>('mqtt/consumer');
  const sides = new LoadSides(producer, consumer, pid);
  const mayLose = load.subscribers.every(({ qos }) => qos === 0);
  try {
    const { creditPort } = await consumer.ask<MqttConsumerOpened>({
      verb: 'open',
      address,
      plans: load.subscribers,
      bystanders: load.bystanders ?? [],
      creditStep: Math.ceil(load.maxAhead * creditFraction),
    });
    await producer.ask({ verb: 'open', address, plans: load.publishers, creditPort, maxAhead: load.maxAhead });
    const rates = await sides.measure(timing);
    const sent = await sides.stopProducer();
    const total = sent.reduce((sum, count) => sum + count, 0);
    const expected = total * load.subscribers.length;
    await sides.untilReceived(expected, undefined, mayLose ? patienceWithLossMs : undefined);
    const { received, redelivered, findings } = await consumer.ask<ConsumerEnd>({ verb: 'settle', sent });
    const judged = mayLose ? { ...findings, lost: 0 } : findings;
    const integrity: Integrity = {
      sent: total,
      expected,
      received,
      redelivered,
      findings,
      problem: isClean(judged) ? '' : describe(findings),
    };
    await Promise.all([producer.ask({ verb: 'close' }), consumer.ask({ verb: 'close' })]);
    return { ...rates, integrity, lost: mayLose ? findings.lost : 0 };
  } finally {
    await Promise.all([producer.end(), consumer.end()]);
  }
}
