import type { EngineConsumer, Lease } from '../../src/engine/engine.ts';
import type { Copy, Hold, ModelQueue } from './model.ts';

/** Who consumes: one lease and what it holds. */
export interface Session {
  readonly name: string;
  readonly lease: Lease;
  readonly hold: Hold;
  readonly held: Set<Copy>;
}

export interface Subscription {
  readonly name: string;
  readonly queue: ModelQueue;
  readonly session: Session;
  readonly noAck: boolean;
  readonly afterSync: boolean;
  /** null until consume() resolved. */
  engine: EngineConsumer | null;
  readonly priority: number;
  credit: number;
  paused: boolean;
  cancelled: boolean;
  /** Order of the last first delivery, by priority. */
  readonly lastOrder: Map<number, number>;
}
