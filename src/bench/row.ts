import type { Broker, Contender, Running } from './broker.ts';
import type { Integrity } from './load-run.ts';
import type { Timing } from './load-sides.ts';

/** What a measurement is to reach: a multiple of the reference's figure in the same run, or a figure of its own. */
export interface Goal {
  /** `required` must hold in every release; `target` is what the project aims at. */
  tier: 'required' | 'target';
  ratio?: number;
  value?: number;
}

export interface Metric {
  id: string;
  label: string;
  unit: 'msg/s' | 'queues/s' | 'connects/s' | 'ms' | 'MB' | 'KB' | '%' | 'messages';
  better: 'higher' | 'lower';
  goals: Goal[];
}

/** The figures of one round of one row, by metric. */
export interface Sample {
  values: Record<string, number>;
  /** Further figures that explain the values; no goals hang on them. */
  detail: Record<string, number>;
  integrity?: Integrity;
  /** What a reader of the figures must know: the load could not be held, say. */
  remark?: string;
}

interface RowBase {
  id: string;
  title: string;
  metrics: Metric[];
}

/** A row that every contender runs, turn by turn, on brokers that stay up. */
export interface ComparedRow<R extends Running = Broker> extends RowBase {
  kind: 'compared';
  /** Part of `--quick`. */
  quick: boolean;
  run(running: R, timing: Timing): Promise<Sample>;
}

export interface SoloContext<R extends Running = Broker> {
  contender: Contender<R> & { start: NonNullable<Contender<R>['start']> };
  /** A new folder of this row's own. */
  workDir: string;
  /** Messages in the long rows. */
  messages: number;
  connections: number;
  progress(text: string): void;
}

/** A row that starts brokers of its own and takes minutes: memory, recovery, start-up. */
export interface SoloRow<R extends Running = Broker> extends RowBase {
  kind: 'solo';
  run(context: SoloContext<R>): Promise<Sample>;
}

export type Row<R extends Running = Broker> = ComparedRow<R> | SoloRow<R>;
