// The subscribing process tells the publishing one how far it has got, beside the broker. See allowance.ts.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

const countBytes = 8;

/** The subscribing side. */
export class CreditGiver {
  readonly #server: Server;
  #taker: Socket | undefined;
  #told = 0;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.#taker = socket.setNoDelay(true).on('error', () => socket.destroy());
    });
  }

  static async open(): Promise<CreditGiver> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return new CreditGiver(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** So many messages have come or are lost; told once these are `step` more than what was told last. */
  tell(passed: number, step: number): void {
    if (passed - this.#told < step || this.#taker === undefined) return;
    this.#told = passed;
    const bytes = Buffer.allocUnsafe(countBytes);
    bytes.writeDoubleBE(passed);
    this.#taker.write(bytes);
  }

  close(): void {
    this.#taker?.destroy();
    this.#server.close();
  }
}

/** The publishing side: `take` is called with each count. */
export function takeCredit(port: number, take: (passed: number) => void): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let rest: Buffer = Buffer.alloc(0);
    socket.on('data', (bytes) => {
      rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
      const whole = rest.length - (rest.length % countBytes);
      // The latest says all that those before it said.
      if (whole > 0) take(rest.readDoubleBE(whole - countBytes));
      rest = rest.subarray(whole);
    });
    socket.once('error', reject);
    socket.once('connect', () => resolve(socket));
  });
}
