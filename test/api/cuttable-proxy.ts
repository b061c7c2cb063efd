/** A TCP proxy whose connections can be cut or silenced, and which can refuse new ones for a while. */
import { connect, createServer, type Server, type Socket } from 'node:net';

export class CuttableProxy {
  readonly #target: () => number;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  /** New connections are cut at once. */
  refusing = false;
  connections = 0;
  /** What the broker is to read in place of what a client writes. */
  rewrite: ((bytes: Buffer) => Buffer) | null = null;

  constructor(target: () => number) {
    this.#target = target;
    this.#server = createServer((inner) => this.#accept(inner));
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as { port: number }).port;
  }

  /** As when a cable is pulled: no goodbye, what is on its way is lost. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    this.#pairs.clear();
  }

  /** As when the broker hangs: connections stay open, and nothing comes through any more. */
  silence(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.removeAllListeners('data').pause();
  }

  get open(): number {
    return this.#pairs.size;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(inner: Socket): void {
    inner.on('error', () => undefined);
    if (this.refusing) {
      inner.destroy();
      return;
    }
    this.connections += 1;
    const outer = connect(this.#target(), '127.0.0.1');
    outer.on('error', () => inner.destroy());
    const pair = [inner, outer] as const;
    this.#pairs.add(pair);
    inner.on('data', (bytes) => outer.write(this.rewrite?.(bytes) ?? bytes));
    outer.on('data', (bytes) => inner.write(bytes));
    for (const socket of pair) {
      socket.on('close', () => {
        this.#pairs.delete(pair);
        for (const each of pair) each.destroy();
      });
    }
  }
}
