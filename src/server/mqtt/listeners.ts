/** Where MQTT comes in: TCP, TLS, and WebSocket over either. Whatever it came by, a connection sees a transport and its bytes. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Admission } from '../socket/admission.ts';
import type { Entrant } from '../socket/entrance.ts';
import { listening } from '../socket/listening.ts';
import { isLoopback } from '../socket/loopback.ts';
import { readEvents, readInto, shareReads, type Reader } from '../socket/shared-read-buffer.ts';
import { TlsListener, type TlsIdentity } from '../socket/tls-listener.ts';
import type { Transport } from '../socket/transport.ts';
import { WebSocketGate } from '../socket/web-socket-gate.ts';

export type MqttProtocol = 'mqtt' | 'mqtts' | 'ws' | 'wss';

/** What is known of a connection before its first packet. */
export interface Arrival {
  readonly protocol: MqttProtocol;
  /** From this machine. A browser that was sent by a page from elsewhere is not, wherever it runs. */
  readonly loopback: boolean;
}

/** Makes the transport, which passes what it reads to `read`. */
export type Open = (read: Reader) => Transport;

export interface ListenersOptions {
  /** Of all who may come in; whoever was accepted says itself that it logged in, and that it is gone. */
  readonly admission: Admission;
  readonly connectTimeoutMs: number;
  /** Makes a connection of what arrives. */
  readonly accept: (open: Open, arrival: Arrival) => Entrant;
  readonly log: (line: string) => void;
}

/** The second is that of clients from before the standard. */
const subProtocols = ['mqtt', 'mqttv3.1'];
const paths = new Set(['/mqtt', '/', '/ws']);

export class Listeners {
  readonly #options: ListenersOptions;
  readonly #servers: Server[] = [];
  readonly #tls: TlsListener[] = [];
  readonly #gates: WebSocketGate[] = [];

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** Each resolves once it listens; port 0 takes a free one. @throws the error of `listen`: EADDRINUSE, EACCES, ... */
  async listen(host: string, port: number): Promise<AddressInfo> {
    const near = { protocol: 'mqtt', loopback: true } as const;
    const far = { protocol: 'mqtt', loopback: false } as const;
    const server = this.#tcp('mqtt', (socket) => {
      const arrival = isLoopback(socket.remoteAddress ?? '') ? near : far;
      this.#accept((read) => readInto(socket, server, read), arrival);
    });
    const address = await this.#listening('mqtt', server, host, port);
    shareReads(server);
    return address;
  }

  /** @throws what OpenSSL says of the identity, too */
  listenTls(host: string, port: number, identity: TlsIdentity): Promise<AddressInfo> {
    const server = this.#secure('mqtts', identity, (socket) => {
      const arrival = { protocol: 'mqtts', loopback: isLoopback(socket.remoteAddress ?? '') } as const;
      this.#accept((read) => readEvents(socket, read), arrival);
    });
    return this.#listening('mqtts', server, host, port);
  }

  listenWs(host: string, port: number): Promise<AddressInfo> {
    const gate = this.#gate('ws');
    return this.#listening(
      'ws',
      this.#tcp('ws', (socket) => gate.enter(socket)),
      host,
      port,
    );
  }

  /** @throws what OpenSSL says of the identity, too */
  listenWss(host: string, port: number, identity: TlsIdentity): Promise<AddressInfo> {
    const gate = this.#gate('wss');
    return this.#listening(
      'wss',
      this.#secure('wss', identity, (socket) => gate.enter(socket)),
      host,
      port,
    );
  }

  /** Another certificate, for connections to come. @throws what OpenSSL says of it; the one before stays */
  setTlsIdentity(identity: TlsIdentity): void {
    for (const listener of this.#tls) listener.setIdentity(identity);
  }

  /** Lets nobody in any more; those who are in stay. */
  close(): void {
    for (const server of this.#servers) server.close();
    for (const listener of this.#tls) listener.close();
    for (const gate of this.#gates) gate.close();
  }

  #tcp(protocol: MqttProtocol, enter: (socket: Socket) => void): Server {
    const server = createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      if (this.#options.admission.admit(protocol)) enter(socket);
      else socket.destroy();
    });
    this.#servers.push(server);
    return server;
  }

  #secure(protocol: MqttProtocol, identity: TlsIdentity, accept: (socket: Socket) => void): Server {
    const { admission, log } = this.#options;
    const listener = new TlsListener(identity, {
      protocol,
      admit: () => admission.admit(protocol),
      entered: (entrant) => admission.entered(entrant),
      left: (entrant) => admission.left(entrant),
      accept,
      log,
    });
    this.#tls.push(listener);
    return listener.server;
  }

  #gate(protocol: 'ws' | 'wss'): WebSocketGate {
    const { admission, connectTimeoutMs, log } = this.#options;
    const gate = new WebSocketGate({
      protocols: subProtocols,
      paths,
      timeoutMs: connectTimeoutMs,
      entered: (entrant) => admission.entered(entrant),
      left: (entrant) => admission.left(entrant),
      log: (line) => log(`${protocol} ${line}`),
      accept: (open, loopback) => this.#accept(open, { protocol, loopback }),
    });
    this.#gates.push(gate);
    return gate;
  }

  #listening(protocol: MqttProtocol, server: Server, host: string, port: number): Promise<AddressInfo> {
    return listening(server, host, port, (error) => this.#options.log(`${protocol}: ${error.message}`));
  }

  #accept(open: Open, arrival: Arrival): void {
    this.#options.admission.connected(this.#options.accept(open, arrival));
  }
}
