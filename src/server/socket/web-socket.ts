/**
 * Hot path: a WebSocket as a connection sees a socket: a stream of bytes both ways.
 *
 * What comes is unframed in the read that brought it. What goes out is one binary frame for each write, that is for each chunk of an
 * output. Compression is never agreed on: it costs each connection a window, and makes small frames into large memory.
 */
import type { Socket } from 'node:net';
import { closeCode, closeFrame, frameHeader, opcode } from '../../wire/web-socket/protocol.ts';
import { Unframer } from '../../wire/web-socket/unframer.ts';
import { queuedBytes } from './output.ts';
import type { Reader } from './shared-read-buffer.ts';
import type { Transport } from './transport.ts';

export class WebSocketTransport implements Transport {
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;

  readonly #socket: Socket;
  readonly #read: Reader;
  readonly #log: (line: string) => void;
  readonly #unframer: Unframer;
  #ended: (() => void) | null = null;
  #isOver = false;
  #isClosing = false;
  /** A pong that the socket has not taken, and the ping that came meanwhile: of many the last is answered. */
  #pongUnderWay = false;
  #pingWaiting: Buffer | null = null;

  /** `socket` was upgraded. `log` is told what the client did wrong, where that ends it. */
  constructor(socket: Socket, read: Reader, log: (line: string) => void) {
    this.#socket = socket;
    this.#read = read;
    this.#log = log;
    this.#unframer = new Unframer((payload) => this.#pinged(payload));
    const { remoteAddress, remotePort, localAddress, localPort } = socket;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
    this.localAddress = localAddress;
    this.localPort = localPort;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('end', () => this.#over());
    socket.resume();
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.#socket.bytesWritten;
  }

  get writableLength(): number {
    return queuedBytes(this.#socket);
  }

  write(bytes: Uint8Array, written: () => void): boolean {
    const socket = this.#socket;
    socket.cork();
    socket.write(frameHeader(opcode.binary, bytes.length));
    const wantsMore = socket.write(bytes, written);
    socket.uncork();
    return wantsMore;
  }

  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#socket.end(closeFrame(this.#unframer.closeCode ?? closeCode.normal));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  setNoDelay(noDelay: boolean): void {
    this.#socket.setNoDelay(noDelay);
  }

  setKeepAlive(enable: boolean, initialDelayMs: number): void {
    this.#socket.setKeepAlive(enable, initialDelayMs);
  }

  /** One listener for `end`; it is called once. */
  on(event: 'end' | 'close', listener: () => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  on(event: 'end' | 'close' | 'error', listener: (error: Error) => void): void {
    if (event === 'end') this.#ended = listener as () => void;
    else this.#socket.on(event, listener);
  }

  #take(chunk: Buffer): void {
    if (this.#isOver) return;
    const size = this.#unframer.take(chunk, chunk.length);
    if (size > 0) this.#read(chunk, size);
    const { closeCode, fault } = this.#unframer;
    if (fault !== null) this.#log(`${this.remoteAddress}:${this.remotePort}: ${fault}`);
    if (closeCode !== null) this.#over();
  }

  /** Nothing more comes: of the socket, or after the client's close. */
  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ended?.();
  }

  #pinged(payload: Buffer): void {
    if (this.#isClosing) return;
    if (this.#pongUnderWay) {
      this.#pingWaiting = payload;
      return;
    }
    this.#pongUnderWay = true;
    this.#socket.cork();
    this.#socket.write(frameHeader(opcode.pong, payload.length));
    this.#socket.write(payload, this.#ponged);
    this.#socket.uncork();
  }

  readonly #ponged = (): void => {
    this.#pongUnderWay = false;
    const payload = this.#pingWaiting;
    this.#pingWaiting = null;
    if (payload !== null) this.#pinged(payload);
  };
}
