/** What a connection asks of what it is read from and written to: a TCP or TLS socket is one, a WebSocket on either another. */
export interface Transport {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  /** Since the beginning, framing of its own included. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Bytes that the system has not taken. */
  readonly writableLength: number;
  /** `written` is called once the system took them, or never will. */
  write(bytes: Uint8Array, written: () => void): boolean;
  /** From here to `uncork` writes go out together. */
  cork(): void;
  uncork(): void;
  pause(): unknown;
  resume(): unknown;
  /** Nothing more is written; what was written still goes out. */
  end(): unknown;
  destroy(): unknown;
  setNoDelay(noDelay: boolean): unknown;
  setKeepAlive(enable: boolean, initialDelayMs: number): unknown;
  /** `end`: nothing more comes. `close`: it is gone. */
  on(event: 'end' | 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}
