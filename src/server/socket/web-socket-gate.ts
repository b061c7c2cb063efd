/**
 * HTTP in front of a WebSocket: bounded in time and bytes, and answering nothing else.
 *
 * A browser connects to any address that a page from anywhere names, and tells in `Origin` whose page it was. The login of the
 * protocol behind it holds for everybody, but what is let in because it is on this machine must not be let in because a browser is:
 * so a page from elsewhere is no loopback. Nor is one whose name its owner made this machine's (DNS rebinding), or a sandboxed one
 * (`null`).
 */
import { createServer, STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { judgeUpgrade, upgradeAnswer, type Refusal } from '../../wire/web-socket/upgrade.ts';
import type { Entrant } from './entrance.ts';
import { isLoopback } from './loopback.ts';
import type { Reader } from './shared-read-buffer.ts';
import type { Transport } from './transport.ts';
import { WebSocketTransport } from './web-socket.ts';

const maxHeaderBytes = 8 * 1024;

export interface WebSocketGateOptions {
  /** Of the protocol: what it is called, the first that a client offers is spoken; and where. */
  readonly protocols: readonly string[];
  readonly paths: ReadonlySet<string>;
  /** For the whole request. */
  readonly timeoutMs: number;
  entered(entrant: Entrant): void;
  left(entrant: Entrant): void;
  /** One line for an operator. */
  log(line: string): void;
  /** The WebSocket is open. */
  accept(open: (read: Reader) => Transport, loopback: boolean): void;
}

/** A socket at its request. */
interface Requesting extends Entrant {
  readonly timer: NodeJS.Timeout;
}

export class WebSocketGate {
  readonly #options: WebSocketGateOptions;
  readonly #http: Server;
  readonly #requesting = new Map<Duplex, Requesting>();

  constructor(options: WebSocketGateOptions) {
    this.#options = options;
    const places = [...options.paths].join(' ');
    this.#http = createServer({ maxHeaderSize: maxHeaderBytes }, (_request, response) => {
      const text = `${options.protocols[0]} over WebSocket is spoken here, at ${places}\n`;
      response.writeHead(426, {
        Connection: 'close, Upgrade',
        Upgrade: 'websocket',
        'Content-Type': 'text/plain',
        'Content-Length': text.length,
      });
      response.end(text);
    });
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket as Socket, head));
  }

  /** A socket that was let in; over TLS, after that handshake. */
  enter(socket: Socket): void {
    const { timeoutMs } = this.#options;
    const requesting: Requesting = {
      timer: setTimeout(() => socket.destroy(), timeoutMs),
      cut: () => socket.destroy(),
    };
    this.#requesting.set(socket, requesting);
    this.#options.entered(requesting);
    socket.once('close', () => this.#left(socket));
    socket.on('error', () => socket.destroy());
    this.#http.emit('connection', socket);
    socket.resume();
  }

  close(): void {
    for (const requesting of this.#requesting.values()) requesting.cut();
  }

  /** It is upgraded, or gone. */
  #left(socket: Socket): void {
    const requesting = this.#requesting.get(socket);
    if (requesting === undefined) return;
    this.#requesting.delete(socket);
    clearTimeout(requesting.timer);
    this.#options.left(requesting);
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const { protocols, paths } = this.#options;
    const judged = judgeUpgrade(request, paths, protocols);
    if (typeof judged !== 'string') {
      refuse(socket, judged);
      return;
    }
    this.#left(socket);
    socket.setNoDelay(true);
    socket.write(upgradeAnswer(request, judged));
    if (head.length > 0) socket.unshift(head);
    const loopback = isLoopback(socket.remoteAddress ?? '') && isOfThisMachine(request.headers.origin);
    const log = (line: string): void => this.#options.log(line);
    this.#options.accept((read) => new WebSocketTransport(socket, read, log), loopback);
  }
}

function refuse(socket: Socket, { status, why, headers = [] }: Refusal): void {
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: text/plain',
    `Content-Length: ${why.length + 1}`,
    ...headers,
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${why}\n`, () => socket.destroy());
}

/** Programs that are no browser tell no origin. */
function isOfThisMachine(origin: string | undefined): boolean {
  if (origin === undefined) return true;
  if (!URL.canParse(origin)) return false;
  const { hostname } = new URL(origin);
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}
