/** The shop with its broker inside, as the director starts, kills and restarts it. */
import type { Cast } from '../cast.ts';
import type { OwnBroker } from '../own-broker.ts';
import type { OrdersPart } from '../role.ts';
import type { ShopPart, ShopReport } from './shop.ts';

export class ShopProcess implements OwnBroker {
  readonly name = 'shop';
  readonly #cast: Cast;
  readonly #part: OrdersPart;
  readonly #data: string;
  #port = 0;
  #open = false;

  constructor(cast: Cast, part: OrdersPart, data: string) {
    this.#cast = cast;
    this.#part = part;
    this.#data = data;
  }

  get url(): string {
    return `amqp://guest:guest@127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  get pid(): number {
    return this.#cast.pid(this.name);
  }

  async start(): Promise<number> {
    const begun = performance.now();
    const part: ShopPart = { ...this.#part, data: this.#data, port: this.#port, open: this.#open };
    this.#port = await new Promise<number>((resolve, reject) => {
      this.#cast
        .startOrders(this.name, part, (report) => resolve((report as ShopReport).port))
        .exited.then(
          () => reject(new Error(`the shop ended before it listened: ${this.#cast.lastWords(this.name)}`)),
          reject,
        );
    });
    return performance.now() - begun;
  }

  /** It takes orders from now on, and after a restart at once. */
  open(): void {
    this.#open = true;
    this.#cast.tell(this.name, { do: 'open' });
  }

  kill(): Promise<void> {
    return this.#cast.kill(this.name);
  }

  stop(): Promise<number | null> {
    return this.#cast.stop(this.name);
  }
}
