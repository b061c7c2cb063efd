// Hot path: allocates nothing per message; one write of acknowledgements per read.
import { markOf, patternCheckedEvery, patternIntact } from '../body.ts';
import { sumFindings, Tally, type Findings } from '../tally.ts';
import { Acknowledgements } from './acknowledgements.ts';
import type { MqttConnection } from './connection.ts';
import { headerBytes, packetBytes, packetType, type Qos } from './packet.ts';

/** What one subscriber expects: every message of the streams 0, 1, ... in the order of its stream. */
export interface MqttSubscriberPlan {
  clientId: string;
  /** False: the session and what it has not received outlive the connection. */
  cleanSession: boolean;
  filter: string;
  qos: Qos;
  streams: number;
  bodyBytes: number;
  ring: number;
}

const acknowledgementsAtOnce = 4096;

export class MqttSubscriber {
  received = 0;
  /** Came, or were overtaken by later ones of their stream. */
  passed = 0;
  /** Marked as such by the broker. */
  redelivered = 0;
  /** Called after a read that brought messages. */
  onReceived: () => void = () => undefined;
  readonly #connection: MqttConnection;
  readonly #plan: MqttSubscriberPlan;
  readonly #expected: Float64Array;
  readonly #tallies = new Map<number, Tally>();
  readonly #acknowledgements: Acknowledgements;
  #untilPattern = 1;

  constructor(connection: MqttConnection, plan: MqttSubscriberPlan) {
    this.#connection = connection;
    this.#plan = plan;
    this.#expected = new Float64Array(plan.streams);
    this.#acknowledgements = new Acknowledgements(connection.socket, acknowledgementsAtOnce);
    connection.reader = (bytes, at, end) => this.read(bytes, at, end);
  }

  async subscribe(): Promise<void> {
    await this.#connection.subscribe([this.#plan.filter], this.#plan.qos);
  }

  /** Waits until the broker has taken every acknowledgement. */
  async settle(): Promise<void> {
    await this.#connection.ping();
  }

  /** Ends the streams: what was sent and did not come is lost. */
  end(sent: readonly number[]): void {
    for (const [stream, count] of sent.entries()) {
      const expected = this.#expected[stream] ?? 0;
      if (expected < count) this.#tally(stream).end(expected, count);
    }
  }

  get findings(): Findings {
    return sumFindings([...this.#tallies.values()].map((tally) => tally.findings));
  }

  read(bytes: Buffer, at: number, end: number): number {
    const { bodyBytes, qos, ring, streams } = this.#plan;
    const expected = this.#expected;
    const acknowledgements = this.#acknowledgements;
    const firstAnswer = qos === 2 ? packetType.pubrec : packetType.puback;
    let received = 0;
    let passed = 0;

    while (end - at >= 2) {
      const first = bytes[at] as number;
      const type = first >> 4;
      let size = bytes[at + 1] as number;
      let body = at + 2;
      if (size >= 0x80) {
        if (end - at < 3) break;
        const high = bytes[at + 2] as number;
        if (high < 0x80) {
          size = (size & 0x7f) | (high << 7);
          body = at + 3;
        } else {
          const whole = packetBytes(bytes, at, end);
          if (whole === 0) break;
          body = at + headerBytes(bytes, at);
          size = at + whole - body;
        }
      }
      const packetEnd = body + size;
      if (packetEnd > end) break;

      if (type === packetType.publish) {
        received++;
        const messageQos = (first >> 1) & 3;
        if ((first & 0b1000) !== 0) this.redelivered++;
        body += 2 + (((bytes[body] as number) << 8) | (bytes[body + 1] as number));
        if (messageQos !== 0) {
          acknowledgements.add(firstAnswer, bytes[body] as number, bytes[body + 1] as number);
          body += 2;
        }
        const stream = uint32(bytes, body);
        const seq = uint32(bytes, body + 4);
        if (
          messageQos !== qos ||
          packetEnd - body !== bodyBytes ||
          stream >= streams ||
          uint32(bytes, packetEnd - 4) !== markOf(stream, seq)
        ) {
          this.#tally(0).altered(
            `what came with ${packetEnd - body} bytes and QoS ${messageQos} is not the message that was sent`,
          );
        } else {
          const due = expected[stream] as number;
          const next = seq === due ? due + 1 : this.#tally(stream).irregular(seq, due);
          expected[stream] = next;
          passed += next - due;
          if (--this.#untilPattern === 0) {
            this.#untilPattern = patternCheckedEvery;
            if (!patternIntact(bytes, body, bodyBytes, seq % ring))
              this.#tally(stream).altered(`the body of message ${seq} was altered`);
          }
        }
      } else if (type === packetType.pubrel) {
        acknowledgements.add(packetType.pubcomp, bytes[at + 2] as number, bytes[at + 3] as number);
      } else {
        this.#connection.control(bytes, at, packetEnd);
      }
      at = packetEnd;
    }

    acknowledgements.flush();
    if (received > 0) {
      this.received += received;
      this.passed += passed;
      this.onReceived();
    }
    return at;
  }

  #tally(stream: number): Tally {
    let tally = this.#tallies.get(stream);
    if (tally === undefined) {
      tally = new Tally();
      this.#tallies.set(stream, tally);
    }
    return tally;
  }
}

function uint32(bytes: Buffer, at: number): number {
  return (
    (bytes[at] as number) * 0x1000000 +
    (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
  );
}
