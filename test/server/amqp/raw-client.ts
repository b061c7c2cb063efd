/** A client that sends what a test tells it, frame by frame, and shows what comes back. */
import assert from 'node:assert/strict';
import { connect as connectSocket, type Socket } from 'node:net';
import type { FieldTable } from '../../../src/format/field-table.ts';
import * as basic from '../../../src/wire/amqp/basic-methods.ts';
import * as channel from '../../../src/wire/amqp/channel-methods.ts';
import * as connection from '../../../src/wire/amqp/connection-methods.ts';
import { bodyFrame, headerFrame } from '../../../src/wire/amqp/content.ts';
import * as exchange from '../../../src/wire/amqp/exchange-methods.ts';
import type { Arguments, Layout, Method } from '../../../src/wire/amqp/method.ts';
import { frameType, protocolHeader } from '../../../src/wire/amqp/protocol.ts';
import * as queue from '../../../src/wire/amqp/queue-methods.ts';

const methods = new Map(
  [basic, channel, connection, exchange, queue]
    .flatMap((group) => Object.values(group) as Method[])
    .map((method) => [method.id, method]),
);

export interface Frame {
  readonly type: number;
  readonly channel: number;
  readonly payload: Buffer;
  /** "queue.declare_ok" for a method frame, else "header", "body" or "heartbeat". */
  readonly name: string;
  readonly args: Arguments<Layout> & Record<string, unknown>;
}

export interface OpenOptions {
  readonly user?: string;
  readonly password?: string;
  readonly mechanism?: string;
  readonly response?: Buffer;
  readonly capabilities?: FieldTable;
  readonly channelMax?: number;
  readonly frameMax?: number;
  readonly heartbeat?: number;
  readonly virtualHost?: string;
}

export const allCapabilities: FieldTable = {
  consumer_cancel_notify: true,
  'connection.blocked': true,
  authentication_failure_close: true,
};

/** A test that waits longer for a frame has failed. */
const patienceMs = 60_000;

export class RawClient {
  readonly socket: Socket;
  /** Everything that came and is not part of a frame yet. */
  received = Buffer.alloc(0);
  ended = false;
  #wake: (() => void) | null = null;

  /** On 127.0.0.1, or over a socket of the test's own. */
  constructor(to: number | Socket) {
    this.socket = typeof to === 'number' ? connectSocket({ host: '127.0.0.1', port: to, noDelay: true }) : to;
    this.socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#wake?.();
    });
    const ended = (): void => {
      this.ended = true;
      this.#wake?.();
    };
    this.socket.on('end', ended).on('close', ended).on('error', ended);
  }

  /** A client whose connection is open, with channel 1 open as well. */
  static async open(to: number | Socket, options: OpenOptions = {}): Promise<RawClient> {
    const client = new RawClient(to);
    await client.handshake(options);
    await client.openChannel(1);
    return client;
  }

  send(...frames: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  async call<L extends Layout>(number: number, method: Method<L>, args: Arguments<L>, answer: string): Promise<Frame> {
    this.send(method.frame(number, args));
    return this.expect(answer);
  }

  /** The next frame that is no heartbeat; null when the server has ended. */
  async next(awaited = 'a frame, or the end', waitMs = patienceMs): Promise<Frame | null> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      const frame = this.#takeFrame();
      if (frame !== null && frame.name !== 'heartbeat') return frame;
      if (frame === null && !(await this.#more(awaited, waitMs, deadline))) return null;
    }
  }

  async expect(name: string, waitMs = patienceMs): Promise<Frame> {
    const frame = await this.next(name, waitMs);
    assert.equal(frame?.name, name, frame === null ? 'the connection ended' : JSON.stringify(frame.args));
    return frame;
  }

  /** The next message, of basic.deliver, basic.return or basic.get_ok. */
  async message(name: string): Promise<{ readonly frame: Frame; readonly properties: Buffer; readonly body: Buffer }> {
    const frame = await this.expect(name);
    const header = await this.expect('header');
    const size = Number(header.payload.readBigUInt64BE(4));
    const bodies: Buffer[] = [];
    for (let got = 0; got < size;) {
      const body = await this.expect('body');
      bodies.push(body.payload);
      got += body.payload.length;
    }
    return { frame, properties: header.payload.subarray(12), body: Buffer.concat(bodies) };
  }

  /** Everything until the server ends the connection. */
  async untilEnd(): Promise<Frame[]> {
    const frames: Frame[] = [];
    for (;;) {
      const frame = await this.next();
      if (frame === null) return frames;
      frames.push(frame);
    }
  }

  async handshake(options: OpenOptions = {}): Promise<void> {
    await this.startOk(options);
    await this.expect('connection.tune');
    this.tuneOk(options);
    await this.expect('connection.open_ok');
  }

  async startOk(options: OpenOptions = {}): Promise<void> {
    const { user = 'guest', password = 'guest', mechanism = 'PLAIN', capabilities = allCapabilities } = options;
    this.send(protocolHeader);
    await this.expect('connection.start');
    const response = options.response ?? Buffer.from(`\0${user}\0${password}`);
    const args = { clientProperties: { capabilities }, mechanism, response, locale: 'en_US' };
    this.send(connection.connectionStartOk.frame(0, args));
  }

  tuneOk(options: OpenOptions = {}): void {
    const { channelMax = 2047, frameMax = 131_072, heartbeat = 0, virtualHost = '/' } = options;
    this.send(
      connection.connectionTuneOk.frame(0, { channelMax, frameMax, heartbeat }),
      connection.connectionOpen.frame(0, { virtualHost }),
    );
  }

  async openChannel(number: number): Promise<void> {
    await this.call(number, channel.channelOpen, {}, 'channel.open_ok');
  }

  async declare(name: string, args: FieldTable = {}, number = 1): Promise<Frame> {
    return this.call(number, queue.queueDeclare, { ...declaration, queue: name, arguments: args }, 'queue.declare_ok');
  }

  async consume(name: string, consumerTag: string, noAck = false, number = 1): Promise<void> {
    const args = { queue: name, consumerTag, noLocal: false, noAck, exclusive: false, noWait: false, arguments: {} };
    await this.call(number, basic.basicConsume, args, 'basic.consume_ok');
  }

  end(): void {
    this.socket.destroy();
  }

  #takeFrame(): Frame | null {
    if (this.received.length < 7) return null;
    const end = 8 + this.received.readUInt32BE(3);
    if (this.received.length < end) return null;
    const frame = this.received.subarray(0, end);
    this.received = this.received.subarray(end);
    assert.equal(frame.at(-1), 0xce);
    return shown(frame);
  }

  async #more(awaited: string, waitMs: number, deadline: number): Promise<boolean> {
    if (this.ended) return false;
    await new Promise<void>((resolve, reject) => {
      const late = (): void => reject(new Error(`${awaited} did not come within ${waitMs} ms`));
      const timer = setTimeout(late, deadline - performance.now());
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    return true;
  }
}

export const declaration = {
  queue: '',
  passive: false,
  durable: false,
  exclusive: false,
  autoDelete: false,
  noWait: false,
  arguments: {},
};

export interface PublishOptions {
  readonly channel?: number;
  readonly exchange?: string;
  readonly mandatory?: boolean;
  readonly immediate?: boolean;
  readonly properties?: Uint8Array;
  readonly bodySize?: number;
  readonly frameMax?: number;
}

/** The frames of a publish, its body cut as `frameMax` asks for. */
export function publish(routingKey: string, body: string | Uint8Array, options: PublishOptions = {}): Buffer {
  const { channel: number = 1, exchange: name = '', mandatory = false, immediate = false } = options;
  const bytes = Buffer.from(body as Uint8Array);
  const most = (options.frameMax ?? 131_072) - 8;
  const frames = [
    basic.basicPublish.frame(number, { exchange: name, routingKey, mandatory, immediate }),
    headerFrame(number, options.bodySize ?? bytes.length, options.properties ?? Buffer.from([0, 0])),
  ];
  for (let at = 0; at < bytes.length; at += most) frames.push(bodyFrame(number, bytes.subarray(at, at + most)));
  return Buffer.concat(frames);
}

const names: Record<number, string> = {
  [frameType.header]: 'header',
  [frameType.body]: 'body',
  [frameType.heartbeat]: 'heartbeat',
};

function shown(frame: Buffer): Frame {
  const type = frame[0]!;
  const payload = frame.subarray(7, frame.length - 1);
  const head = { type, channel: frame.readUInt16BE(1), payload };
  if (type !== frameType.method) return { ...head, name: names[type] ?? `type ${type}`, args: {} };
  const method = methods.get(payload.readUInt32BE(0));
  assert.ok(method !== undefined, `no method ${payload.readUInt32BE(0)}`);
  return { ...head, name: method.name, args: method.read(frame, 11, frame.length - 1) };
}
