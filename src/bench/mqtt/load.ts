import type { MqttAddress } from './connection.ts';
import type { MqttPublisherPlan } from './publisher.ts';
import type { MqttSubscriberPlan } from './subscriber.ts';

/** What a round sends and expects. Every subscriber is sent every message of every publisher. */
export interface MqttLoad {
  publishers: MqttPublisherPlan[];
  subscribers: MqttSubscriberPlan[];
  /** So many messages all publishers together may be ahead of the slowest subscriber. */
  maxAhead: number;
  /** Subscriptions of others, spread over a few connections, which match nothing. */
  bystanders?: string[];
}

// What the benchmark and its load processes say to each other; their marks and ends are those of ../load.ts.

export type MqttProducerRequest =
  | { verb: 'open'; address: MqttAddress; plans: MqttPublisherPlan[]; creditPort: number; maxAhead: number }
  | { verb: 'start' }
  | { verb: 'mark' }
  | { verb: 'stop' }
  | { verb: 'close' };

export type MqttConsumerRequest =
  | {
      verb: 'open';
      address: MqttAddress;
      plans: MqttSubscriberPlan[];
      bystanders: string[];
      /** The publishers are told how far the slowest subscriber is whenever it is so many messages further. */
      creditStep: number;
    }
  | { verb: 'mark' }
  /** Ends the streams: how many messages were sent in each. */
  | { verb: 'settle'; sent: number[] }
  | { verb: 'close' };

export interface MqttConsumerOpened {
  creditPort: number;
}

export type IdleRequest =
  /** Opens connections `first`, `first + 1`, ..., so many at a time, each with a subscription of its own if it says so. */
  | { verb: 'open'; address: MqttAddress; first: number; count: number; atOnce: number; topicPrefix?: string }
  /** Publishes a message to each subscription and waits until all have come. */
  | { verb: 'reach'; address: MqttAddress; first: number; count: number; topicPrefix: string }
  | { verb: 'close' };

export interface IdleOpened {
  /** From the first SYN to the last CONNACK or SUBACK. */
  tookMs: number;
}

export interface IdleReached {
  received: number;
}
