/**
 * A protocol over TLS. A socket that has not finished its TLS handshake counts as one that has not logged in, and has five seconds.
 *
 * A client can make a server work without saying anything that the protocol sees: by renegotiating (TLS 1.2), which is refused, or by
 * updating its keys (TLS 1.3), which costs it as much as us, makes us keep nothing, and does not count as a heartbeat.
 */
import { constants } from 'node:crypto';
import type { Server, Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { createSecureContext, createServer, type Server as TlsServer, type TlsOptions, type TLSSocket } from 'node:tls';
import type { Entrant } from './entrance.ts';

/** PEM texts. */
export interface TlsIdentity {
  /** The certificate, and those between it and one that clients know. */
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Clients must show a certificate that one of these has signed. */
  readonly clientCa?: Buffer;
}

export interface TlsGate {
  /** For people: `amqps`. */
  readonly protocol: string;
  /** False: there is no room, and the socket is cut. */
  admit(): boolean;
  entered(entrant: Entrant): void;
  left(entrant: Entrant): void;
  /** The TLS handshake is done. */
  accept(socket: TLSSocket): void;
  log(line: string): void;
}

const handshakeTimeoutMs = 5_000;
/** A failed handshake is not told more often. */
const tellAgainMs = 10_000;

export class TlsListener {
  readonly #server: TlsServer;
  readonly #gate: TlsGate;
  /** At their TLS handshake, by their end of the connection. */
  readonly #entrants = new Map<string, Entrant>();
  #toldAt = -Infinity;

  /** @throws what is wrong with the identity, as OpenSSL says it */
  constructor(identity: TlsIdentity, gate: TlsGate) {
    this.#gate = gate;
    this.#server = createServer({
      ...optionsOf(identity),
      handshakeTimeout: handshakeTimeoutMs,
      allowHalfOpen: true,
      noDelay: true,
    });
    this.#server.on('connection', (socket: Socket) => this.#begin(socket));
    this.#server.on('secureConnection', (socket) => {
      this.#forget(peerOf(socket));
      gate.accept(socket);
    });
    this.#server.on('tlsClientError', (error, socket) => {
      this.#tell(error, socket);
      // One that took too long is still there.
      socket.destroy();
    });
  }

  get server(): Server {
    return this.#server;
  }

  /** From the next handshake on. @throws what is wrong with the identity; the one before stays */
  setIdentity(identity: TlsIdentity): void {
    const options = optionsOf(identity);
    createSecureContext(options);
    this.#server.setSecureContext(options);
  }

  close(): void {
    this.#server.close();
    for (const entrant of this.#entrants.values()) entrant.cut();
  }

  #begin(socket: Socket): void {
    if (!this.#gate.admit()) {
      socket.destroy();
      return;
    }
    const peer = peerOf(socket);
    const entrant = { cut: () => socket.destroy() };
    this.#entrants.set(peer, entrant);
    this.#gate.entered(entrant);
    // Whichever way it ends before the handshake is done: a TLS socket that is gone does not know its peer any more.
    socket.on('close', () => {
      if (this.#entrants.get(peer) === entrant) this.#forget(peer);
    });
  }

  #forget(peer: string): void {
    const entrant = this.#entrants.get(peer);
    if (entrant === undefined) return;
    this.#entrants.delete(peer);
    this.#gate.left(entrant);
  }

  #tell(error: Error, socket: Socket): void {
    const now = performance.now();
    if (now - this.#toldAt < tellAgainMs) return;
    this.#toldAt = now;
    const why = error.message.replace(/[\p{Cc}\s]+/gu, ' ').slice(0, 200);
    this.#gate.log(`${this.#gate.protocol} ${peerOf(socket)}: the TLS handshake failed: ${why}`);
  }
}

function optionsOf({ cert, key, clientCa }: TlsIdentity): TlsOptions {
  return {
    cert,
    key,
    minVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
  };
}

function peerOf({ remoteAddress = '?', remotePort = 0 }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}
