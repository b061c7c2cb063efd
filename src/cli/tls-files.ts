/** The files of `serve`'s certificate: read at the start, and again on SIGHUP and whenever they change. */
import { X509Certificate, createPrivateKey, type KeyObject } from 'node:crypto';
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { ServeSettings } from '../config/serve-settings.ts';
import type { TlsIdentity } from '../server/socket/index.ts';
import { CommandError } from './command-error.ts';
import { exitCode } from './exit-code.ts';

const lookEveryMs = 2_000;
/** Certificate and key are seldom replaced at the same moment. */
const settleMs = 500;

export class TlsFiles {
  readonly #settings: Pick<ServeSettings, 'tlsCert' | 'tlsKey' | 'tlsClientCa'>;
  #current: TlsIdentity;

  /** Null: no TLS is wanted. @throws CommandError */
  static of(settings: ServeSettings): TlsFiles | null {
    const { tlsCert, tlsKey, tlsClientCa } = settings;
    if (tlsCert === '' && tlsKey === '' && tlsClientCa === '') return null;
    if (tlsCert === '' || tlsKey === '') throw usage('TLS needs both --tls-cert and --tls-key');
    return new TlsFiles(settings);
  }

  /** @throws CommandError */
  constructor(settings: ServeSettings) {
    this.#settings = settings;
    try {
      this.#current = this.#read();
      createSecureContext({ cert: this.#current.cert, key: this.#current.key });
    } catch (error) {
      throw usage(`the certificate can't be used: ${reason(error)}`, error);
    }
  }

  get identity(): TlsIdentity {
    return this.#current;
  }

  /** Calls `apply` with each new identity, and keeps the one before where that throws. */
  watch(apply: (identity: TlsIdentity) => void, log: (line: string) => void): void {
    const { tlsCert, tlsKey, tlsClientCa } = this.#settings;
    let timer: NodeJS.Timeout | null = null;
    const look = (): void => this.#reload(apply, log);
    const lookSoon = (): void => {
      if (timer !== null) clearTimeout(timer);
      timer = setTimeout(look, settleMs).unref();
    };
    for (const file of [tlsCert, tlsKey, tlsClientCa]) {
      if (file !== '') watchFile(file, { interval: lookEveryMs, persistent: false }, lookSoon);
    }
    process.on('SIGHUP', look);
    if (isExpired(this.#current)) log(`the certificate ${tlsCert} has expired`);
  }

  unwatch(): void {
    const { tlsCert, tlsKey, tlsClientCa } = this.#settings;
    for (const file of [tlsCert, tlsKey, tlsClientCa]) if (file !== '') unwatchFile(file);
  }

  #reload(apply: (identity: TlsIdentity) => void, log: (line: string) => void): void {
    try {
      const next = this.#read();
      if (same(next, this.#current)) return;
      if (isExpired(next)) throw new Error(`${this.#settings.tlsCert} has expired`);
      apply(next);
      this.#current = next;
      log(`a new certificate is in use, valid until ${validTo(next)}`);
    } catch (error) {
      log(`the new certificate can't be used, the one before stays: ${reason(error)}`);
    }
  }

  #read(): TlsIdentity {
    const { tlsCert, tlsKey, tlsClientCa } = this.#settings;
    const identity = { cert: readFileSync(tlsCert), key: readFileSync(tlsKey) };
    // What OpenSSL says of them names no file.
    const certificate = certificateOf(tlsCert, identity.cert);
    if (!certificate.checkPrivateKey(keyOf(tlsKey, identity.key)))
      throw new Error(`${tlsKey} is not the private key of ${tlsCert}: replace both`);
    if (tlsClientCa === '') return identity;
    const clientCa = readFileSync(tlsClientCa);
    // OpenSSL would take what is none, and then let nobody in.
    certificateOf(tlsClientCa, clientCa);
    return { ...identity, clientCa };
  }
}

function certificateOf(path: string, bytes: Buffer): X509Certificate {
  try {
    return new X509Certificate(bytes);
  } catch (cause) {
    throw new Error(`${path} holds no certificate in PEM`, { cause });
  }
}

function keyOf(path: string, bytes: Buffer): KeyObject {
  try {
    return createPrivateKey(bytes);
  } catch (cause) {
    const isLocked = (cause as NodeJS.ErrnoException).code === 'ERR_MISSING_PASSPHRASE';
    throw new Error(
      isLocked
        ? `the private key in ${path} has a passphrase; write it without (openssl pkey)`
        : `${path} holds no private key in PEM`,
      { cause },
    );
  }
}

function same(one: TlsIdentity, other: TlsIdentity): boolean {
  const { clientCa = Buffer.alloc(0) } = one;
  return one.cert.equals(other.cert) && one.key.equals(other.key) && clientCa.equals(other.clientCa ?? Buffer.alloc(0));
}

function validTo({ cert }: TlsIdentity): string {
  return new Date(new X509Certificate(cert).validTo).toISOString();
}

function isExpired({ cert }: TlsIdentity): boolean {
  return Date.parse(new X509Certificate(cert).validTo) < Date.now();
}

/** OpenSSL's `error:05800074:x509 certificate routines::key values mismatch` is for its developers. */
function reason(error: unknown): string {
  const { message, code, path } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return `${path} is not there`;
  const [, why] = /^error:[0-9A-F]+:.*:([^:]+)$/.exec(message) ?? [];
  return why ?? message;
}

function usage(message: string, cause?: unknown): CommandError {
  return new CommandError(exitCode.usage, message, { cause });
}
