// Hot path: allocates nothing per message; one write of acknowledgements per read.
import { markOf, patternCheckedEvery, patternIntact } from './body.ts';
import type { LoadConnection } from './connection.ts';
import {
  ackFrameBytes,
  ackFrames,
  ackTagAt,
  emptyTable,
  frameBody,
  frameHeader,
  frameMethod,
  frameOverheadBytes,
  long,
  method,
  methods,
  octet,
  short,
  shortString,
  tableOf,
} from './frame.ts';
import { monotonicMs } from './load.ts';
import { Tally } from './tally.ts';

/** What one consumer expects: the messages of one stream, from one queue, numbered `first`, `first + stride`, ... */
export interface SubscriberPlan {
  queue: string;
  stream: number;
  first: number;
  stride: number;
  bodyBytes: number;
  ring: number;
  prefetch: number;
  /** Acknowledges every nth message with `multiple`; 1 acknowledges each by itself. */
  ackEvery: number;
  /** How many latencies to keep; 0 keeps none. */
  maxLatencies: number;
  /** The queue is a stream: it is read from its beginning. */
  readsStream?: boolean;
}

const maxAcksAtOnce = 4096;

export class Subscriber {
  received = 0;
  redelivered = 0;
  /** When messages were asked for and when the newest came, on the monotonic clock. */
  startedMs = 0;
  lastMs = 0;
  /** Milliseconds from the write of a message to its receipt. */
  readonly latenciesMs: Float64Array;
  latencyCount = 0;
  readonly tally: Tally;
  readonly #connection: LoadConnection;
  readonly #plan: SubscriberPlan;
  #expected: number;
  #tag = 0;
  #ackedTag = 0;
  #untilPattern = 1;
  #acks: Buffer;

  constructor(connection: LoadConnection, plan: SubscriberPlan) {
    this.#connection = connection;
    this.#plan = plan;
    this.#expected = plan.first;
    this.tally = new Tally(plan.stride);
    this.latenciesMs = new Float64Array(plan.maxLatencies);
    this.#acks = ackFrames(1, maxAcksAtOnce, plan.ackEvery > 1);
    connection.reader = (bytes, at, end) => this.read(bytes, at, end);
  }

  async consume(): Promise<void> {
    const { queue, prefetch } = this.#plan;
    await this.#connection.call(method(1, methods.basicQos, long(0), short(prefetch), octet(0)), methods.basicQosOk);
    const names = [shortString(queue), shortString('')];
    const table = this.#plan.readsStream === true ? tableOf('x-stream-offset', 'first') : emptyTable();
    this.startedMs = monotonicMs();
    const request = method(1, methods.basicConsume, short(0), ...names, octet(0), table);
    await this.#connection.call(request, methods.basicConsumeOk);
  }

  /** Acknowledges what is left and waits until the broker has taken it. */
  async settle(): Promise<void> {
    if (this.#tag > this.#ackedTag) {
      const last = ackFrames(1, 1, true);
      last.writeBigUInt64BE(BigInt(this.#tag), ackTagAt);
      this.#ackedTag = this.#tag;
      this.#connection.socket.write(last);
    }
    // The broker handles a channel's methods in order, so the answer to this one follows every acknowledgement.
    await this.#connection.call(method(1, methods.basicQos, long(0), short(0), octet(0)), methods.basicQosOk);
  }

  /** Ends the stream: what was sent and did not come is lost. */
  end(sent: number): void {
    this.tally.end(this.#expected, sent);
  }

  forgetLatencies(): void {
    this.latencyCount = 0;
  }

  read(bytes: Buffer, at: number, end: number): number {
    const { bodyBytes, stream, stride, ackEvery, ring } = this.#plan;
    const latencies = this.latenciesMs;
    const before = this.received;
    let expected = this.#expected;
    let tag = this.#tag;
    let acks = 0;
    const [nowSec, nowNsec] = process.hrtime();

    while (end - at >= 11) {
      const headerAt = at + frameOverheadBytes + uint32(bytes, at + 3);
      if (headerAt > end) break;
      if (bytes[at] !== frameMethod || uint32(bytes, at + 7) !== methods.basicDeliver) {
        this.#connection.control(bytes, at, headerAt);
        at = headerAt;
        continue;
      }
      if (headerAt + 7 > end) break;
      const bodyFrameAt = headerAt + frameOverheadBytes + uint32(bytes, headerAt + 3);
      if (bodyFrameAt + 7 > end) break;
      const size = uint32(bytes, bodyFrameAt + 3);
      const next = bodyFrameAt + frameOverheadBytes + size;
      if (next > end) break;

      const tagAt = at + 12 + (bytes[at + 11] as number);
      tag++;
      if (uint32(bytes, tagAt + 4) !== tag >>> 0) {
        this.tally.altered(`delivery tag ${uint32(bytes, tagAt + 4)} came where ${tag} was due`);
        tag = uint32(bytes, tagAt) * 0x1_0000_0000 + uint32(bytes, tagAt + 4);
      }
      if (bytes[tagAt + 8] !== 0) this.redelivered++;

      const body = bodyFrameAt + 7;
      const seq = uint32(bytes, body + 4);
      if (
        size !== bodyBytes ||
        bytes[headerAt] !== frameHeader ||
        bytes[bodyFrameAt] !== frameBody ||
        uint32(bytes, headerAt + 15) !== size ||
        uint32(bytes, body) !== stream ||
        uint32(bytes, body + size - 4) !== markOf(stream, seq)
      ) {
        this.tally.altered(`delivery ${tag} is not the message that was sent (${size} bytes, number ${seq})`);
      } else {
        expected = seq === expected ? expected + stride : this.tally.irregular(seq, expected);
        if (--this.#untilPattern === 0) {
          this.#untilPattern = patternCheckedEvery;
          if (!patternIntact(bytes, body, size, seq % ring))
            this.tally.altered(`the body of message ${seq} was altered`);
        }
        if (this.latencyCount < latencies.length) {
          const ms = (nowSec - uint32(bytes, body + 8)) * 1000 + (nowNsec - uint32(bytes, body + 12)) / 1e6;
          latencies[this.latencyCount++] = ms;
        }
      }
      this.received++;
      at = next;

      if (tag - this.#ackedTag >= ackEvery) {
        writeTag(this.#acks, acks * ackFrameBytes + ackTagAt, tag);
        this.#ackedTag = tag;
        if (++acks === maxAcksAtOnce) {
          this.#writeAcks(acks);
          acks = 0;
        }
      }
    }

    this.#expected = expected;
    this.#tag = tag;
    if (acks > 0) this.#writeAcks(acks);
    if (this.received > before) this.lastMs = nowSec * 1000 + nowNsec / 1e6;
    return at;
  }

  #writeAcks(count: number): void {
    this.#connection.socket.write(this.#acks.subarray(0, count * ackFrameBytes));
    // Bytes that the kernel did not take at once are still in use.
    if (this.#connection.socket.writableLength > 0) this.#acks = ackFrames(1, maxAcksAtOnce, this.#plan.ackEvery > 1);
  }
}

function writeTag(target: Buffer, at: number, tag: number): void {
  const high = Math.floor(tag / 0x1_0000_0000);
  target[at] = high >>> 24;
  target[at + 1] = high >>> 16;
  target[at + 2] = high >>> 8;
  target[at + 3] = high;
  target[at + 4] = tag >>> 24;
  target[at + 5] = tag >>> 16;
  target[at + 6] = tag >>> 8;
  target[at + 7] = tag;
}

function uint32(bytes: Buffer, at: number): number {
  return (
    (bytes[at] as number) * 0x1000000 +
    (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
  );
}
