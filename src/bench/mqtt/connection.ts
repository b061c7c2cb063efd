import { connect, type Socket, type TcpSocketConnectOpts } from 'node:net';
import {
  connectPacket,
  disconnect,
  packetBytes,
  packetType,
  pingreq,
  refusalIn,
  subscribePacket,
  type Qos,
} from './packet.ts';

/** Where a broker listens. Nobody logs in: all of them let loopback in without a name. */
export interface MqttAddress {
  host: string;
  port: number;
}

export interface ConnectionOptions {
  clientId: string;
  /** Default true. */
  cleanSession?: boolean;
}

/**
 * Reads packets from `bytes[at..end)` and returns where it stopped: at the first packet that is not whole yet. A reader hands
 * every packet that is not its own to {@link MqttConnection.control}.
 */
export type PacketReader = (bytes: Buffer, at: number, end: number) => number;

interface Waiter {
  expected: number;
  resolve: () => void;
  reject: (cause: Error) => void;
}

/** Room before the read area for what an earlier read left unfinished. */
const headroomBytes = 65_536;
const readBytes = 262_144;
/** One for all connections of the process: a read is handled before the next begins, whosever it is. */
const shared = Buffer.allocUnsafeSlow(headroomBytes + readBytes);
const readArea = shared.subarray(headroomBytes);
const nothing = Buffer.alloc(0);
/** Filters in one SUBSCRIBE packet. */
const filtersAtOnce = 100;

export class MqttConnection {
  reader: PacketReader | undefined;
  /** Called once when the connection ends without {@link close}. */
  onFailure: (cause: Error) => void = () => undefined;
  readonly socket: Socket;
  readonly #waiters: Waiter[] = [];
  #carried: Buffer = nothing;
  #failure: Error | undefined;
  #closing = false;

  static async open(address: MqttAddress, options: ConnectionOptions): Promise<MqttConnection> {
    const connection = new MqttConnection(address, connectPacket(options.clientId, options.cleanSession ?? true));
    try {
      await connection.#answer(packetType.connack);
    } catch (cause) {
      connection.socket.destroy();
      throw cause;
    }
    return connection;
  }

  private constructor({ host, port }: MqttAddress, greeting: Buffer) {
    const options: TcpSocketConnectOpts = {
      host,
      port,
      noDelay: true,
      onread: {
        buffer: readArea,
        callback: (count) => {
          this.#read(count);
          return true;
        },
      },
    };
    // A write that comes before would cost Node several listeners, and the load generator a fifth of a connect.
    this.socket = connect(options, () => this.socket.write(greeting));
    this.socket.on('error', (cause) => this.#fail(new Error(`${host}:${port}: ${cause.message}`, { cause })));
    this.socket.on('close', () => {
      if (!this.#closing || this.#waiters.length > 0) this.#fail(new Error(`${host}:${port} closed the connection`));
    });
  }

  /** Sends a packet and resolves with its answer. Calls may be pipelined: answers come in order. */
  call(request: Buffer, expected: number): Promise<void> {
    const answer = this.#answer(expected);
    if (this.#failure === undefined) this.socket.write(request);
    return answer;
  }

  #answer(expected: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure === undefined) this.#waiters.push({ expected, resolve, reject });
      else reject(this.#failure);
    });
  }

  async subscribe(filters: readonly string[], qos: Qos): Promise<void> {
    const answers: Promise<void>[] = [];
    for (let at = 0; at < filters.length; at += filtersAtOnce) {
      const packet = subscribePacket(1 + answers.length, filters.slice(at, at + filtersAtOnce), qos);
      answers.push(this.call(packet, packetType.suback));
    }
    await Promise.all(answers);
  }

  /** Resolves when the broker has handled everything that was written before. */
  ping(): Promise<void> {
    return this.call(pingreq, packetType.pingresp);
  }

  close(): Promise<void> {
    this.#closing = true;
    if (this.socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const patience = setTimeout(() => this.socket.destroy(), 5000);
      this.socket.once('close', () => {
        clearTimeout(patience);
        resolve();
      });
      // The broker closes after this packet; its answer is the end of the stream.
      this.socket.end(disconnect);
    });
  }

  /** Handles one whole packet that no hot reader wanted. */
  control(bytes: Buffer, at: number, end: number): void {
    const type = (bytes[at] as number) >> 4;
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#fail(new Error(`an unexpected packet of type ${type} came`));
    else if (waiter.expected !== type)
      waiter.reject(new Error(`a packet of type ${type} came where ${waiter.expected} was due`));
    else {
      const refusal = refusalIn(bytes.subarray(at, end));
      if (refusal === undefined) waiter.resolve();
      else waiter.reject(new Error(refusal));
    }
  }

  #read(count: number): void {
    const carried = this.#carried.length;
    if (carried > 0) this.#carried.copy(shared, headroomBytes - carried);
    const end = headroomBytes + count;
    const stopped = (this.reader ?? this.#readControl)(shared, headroomBytes - carried, end);
    if (stopped === end) {
      if (carried > 0) this.#carried = nothing;
      return;
    }
    if (end - stopped > headroomBytes) {
      this.#fail(new Error(`the broker sent a packet larger than ${headroomBytes} bytes`));
      this.socket.destroy();
      return;
    }
    this.#carried = Buffer.from(shared.subarray(stopped, end));
  }

  readonly #readControl: PacketReader = (bytes, at, end) => {
    while (at < end) {
      const size = packetBytes(bytes, at, end);
      if (size === 0 || at + size > end) break;
      this.control(bytes, at, at + size);
      at += size;
    }
    return at;
  };

  #fail(cause: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = cause;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(cause);
    if (!this.#closing) this.onFailure(cause);
  }
}
