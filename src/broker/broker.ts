import { type Clock, systemClock } from '../engine/clock.ts';
import type { Batch, Engine } from '../engine/engine.ts';
import type { EngineError } from '../engine/errors.ts';
import { type BrokerSettings, brokerSettings } from './broker-settings.ts';
import { Pressure } from './pressure.ts';
import { guest, type Principal } from './principal.ts';
import type { Vhost } from './vhost.ts';

export interface BrokerOptions {
  readonly engine: Engine;
  readonly settings?: Partial<BrokerSettings>;
  readonly clock?: Clock;
  /** One line for an operator. */
  readonly log?: (line: string) => void;
}

/** The heart of the server: vhosts over one engine. */
export class Broker {
  readonly engine: Engine;
  readonly pressure: Pressure;

  constructor(options: BrokerOptions) {
    this.engine = options.engine;
    this.pressure = new Pressure(options.clock ?? systemClock, brokerSettings(options.settings));
  }

  /** Opens the engine and restores the topology. @throws EngineError */
  open(): Promise<void> {
    throw new Error('not there yet');
  }

  close(): Promise<void> {
    throw new Error('not there yet');
  }

  vhost(_name: string): Vhost | undefined {
    throw new Error('not there yet');
  }

  /** Null: refused. */
  authenticate(user: string, password: string, peer: { readonly loopback: boolean }): Principal | null {
    return user === 'guest' && password === 'guest' && peer.loopback ? guest : null;
  }

  /** Begins a batch; it must be committed within this turn. */
  begin(atomic?: 'required' | 'idempotent'): Batch {
    return this.engine.begin(atomic);
  }

  /** The engine failed: nothing more will be confirmed. */
  onFailed(_listener: (error: EngineError) => void): void {
    throw new Error('not there yet');
  }
}
