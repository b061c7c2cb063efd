import { connect, type Socket } from 'node:net';
import {
  emptyTable,
  frameMethod,
  frameOverheadBytes,
  long,
  longString,
  method,
  methodName,
  methods,
  octet,
  short,
  shortString,
} from './frame.ts';

/** Where a broker listens and who asks. */
export interface Address {
  host: string;
  port: number;
  user: string;
  password: string;
  vhost: string;
}

/** Parses `amqp://user:password@host:port/vhost`; what is absent takes AMQP's defaults. */
export function parseAddress(url: string): Address {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new Error(`"${url}" is not an address; write it as amqp://user:password@host:port/vhost`);
  }
  if (parsed.protocol !== 'amqp:') throw new Error(`"${url}": only amqp:// addresses can be measured`);
  const path = parsed.pathname.slice(1);
  return {
    host: parsed.hostname || '127.0.0.1',
    port: parsed.port === '' ? 5672 : Number(parsed.port),
    user: decodeURIComponent(parsed.username) || 'guest',
    password: decodeURIComponent(parsed.password) || 'guest',
    vhost: path === '' ? '/' : decodeURIComponent(path),
  };
}

/**
 * Reads frames from `bytes[at..end)` and returns where it stopped: at the first frame that is not whole yet. A reader hands
 * every frame that is not its own to {@link LoadConnection.control}.
 */
export type FrameReader = (bytes: Buffer, at: number, end: number) => number;

interface Waiter {
  expected: number;
  resolve: (args: Buffer) => void;
  reject: (cause: Error) => void;
}

const frameMaxBytes = 131_072;
/** Room before the read area: what is left of an unfinished frame (or three) is copied there, so that parsing goes on in one piece. */
const headroomBytes = 2 * frameMaxBytes;
const readBytes = 262_144;

export interface ConnectionSize {
  /** Bytes read at once; small for thousands of idle connections. */
  readBytes?: number;
}

/** One connection with one channel (number 1), read into one buffer that is reused for ever. */
export class LoadConnection {
  reader: FrameReader | undefined;
  /** What the broker says of its version, if it does. */
  serverVersion = '';
  /** Called once when the connection ends without {@link close}. */
  onFailure: (cause: Error) => void = () => undefined;
  readonly socket: Socket;
  readonly #buffer: Buffer;
  readonly #headroom: number;
  readonly #waiters: Waiter[] = [];
  #carried = 0;
  #failure: Error | undefined;
  #closing = false;

  static async open(address: Address, size: ConnectionSize = {}): Promise<LoadConnection> {
    const connection = new LoadConnection(address, size);
    try {
      await connection.#handshake(address);
    } catch (cause) {
      connection.socket.destroy();
      throw cause;
    }
    return connection;
  }

  private constructor(address: Address, size: ConnectionSize) {
    const area = size.readBytes ?? readBytes;
    this.#headroom = size.readBytes === undefined ? headroomBytes : area;
    this.#buffer = Buffer.allocUnsafeSlow(this.#headroom + area);
    this.socket = connect({
      host: address.host,
      port: address.port,
      noDelay: true,
      onread: {
        buffer: this.#buffer.subarray(this.#headroom),
        callback: (count) => {
          this.#read(count);
          return true;
        },
      },
    });
    this.socket.on('error', (cause) => {
      this.#fail(new Error(`${address.host}:${address.port}: ${cause.message}`, { cause }));
    });
    this.socket.on('close', () => {
      this.#fail(new Error(`${address.host}:${address.port} closed the connection`));
    });
  }

  /** Sends a method and resolves with the arguments of the answer. Calls may be pipelined: answers come in order. */
  call(request: Buffer, expected: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      this.#waiters.push({ expected, resolve, reject });
      this.socket.write(request);
    });
  }

  async close(): Promise<void> {
    this.#closing = true;
    if (this.#failure === undefined) {
      const goodbye = method(0, methods.connectionClose, short(200), shortString(''), short(0), short(0));
      const patience = setTimeout(() => this.socket.destroy(), 5000);
      await this.call(goodbye, methods.connectionCloseOk).catch(() => undefined);
      clearTimeout(patience);
    }
    this.socket.destroy();
  }

  /** Handles one whole frame that no hot reader wanted. */
  control(bytes: Buffer, at: number, end: number): void {
    if (bytes[at] !== frameMethod) return;
    const id = bytes.readUInt32BE(at + 7);
    const args = Buffer.from(bytes.subarray(at + 11, end - 1));
    if (id === methods.connectionClose || id === methods.channelClose) {
      const text = args.subarray(3, 3 + args.readUInt8(2)).toString();
      this.#fail(new Error(`the broker closed the ${id === methods.channelClose ? 'channel' : 'connection'}: ${text}`));
      this.socket.destroy();
      return;
    }
    if (id === methods.basicCancel) {
      this.#fail(new Error('the broker cancelled the consumer'));
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#fail(new Error(`unexpected ${methodName(id)}`));
    else if (waiter.expected === id) waiter.resolve(args);
    else waiter.reject(new Error(`${methodName(id)} came where ${methodName(waiter.expected)} was due`));
  }

  #read(count: number): void {
    const end = this.#headroom + count;
    const from = this.#headroom - this.#carried;
    const stopped = (this.reader ?? this.#readControl)(this.#buffer, from, end);
    this.#carried = end - stopped;
    if (this.#carried === 0) return;
    if (this.#carried > this.#headroom) {
      this.#fail(new Error(`the broker sent a message larger than ${this.#headroom} bytes`));
      this.socket.destroy();
      return;
    }
    this.#buffer.copyWithin(this.#headroom - this.#carried, stopped, end);
  }

  readonly #readControl: FrameReader = (bytes, at, end) => {
    while (end - at >= frameOverheadBytes) {
      const next = at + frameOverheadBytes + bytes.readUInt32BE(at + 3);
      if (next > end) break;
      this.control(bytes, at, next);
      at = next;
    }
    return at;
  };

  async #handshake(address: Address): Promise<void> {
    const greeting = await this.call(Buffer.from('AMQP\0\0\x09\x01', 'latin1'), methods.connectionStart);
    this.serverVersion = versionIn(greeting);
    const response = longString(`\0${address.user}\0${address.password}`);
    const startOk = [emptyTable(), shortString('PLAIN'), response, shortString('en_US')];
    const tune = await this.call(method(0, methods.connectionStartOk, ...startOk), methods.connectionTune);
    const offered = tune.readUInt32BE(2);
    const frameMax = offered === 0 ? frameMaxBytes : Math.min(offered, frameMaxBytes);
    // Heartbeat 0: a load generator that is busy for seconds must not be cut off.
    const channelMax = tune.readUInt16BE(0);
    this.socket.write(method(0, methods.connectionTuneOk, short(channelMax), long(frameMax), short(0)));
    const open = method(0, methods.connectionOpen, shortString(address.vhost), shortString(''), octet(0));
    await this.call(open, methods.connectionOpenOk);
    await this.call(method(1, methods.channelOpen, shortString('')), methods.channelOpenOk);
  }

  #fail(cause: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = cause;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(cause);
    if (!this.#closing) this.onFailure(cause);
  }
}

/** Finds the string `version` among the server's properties. */
function versionIn(properties: Buffer): string {
  const name = Buffer.from('\x07versionS', 'latin1');
  const at = properties.indexOf(name);
  if (at < 0) return '';
  const from = at + name.length + 4;
  return properties.toString('utf8', from, from + properties.readUInt32BE(from - 4));
}
