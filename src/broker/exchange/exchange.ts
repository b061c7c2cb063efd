import type { FieldTable } from '../../format/field-table.ts';
import type { Binding } from '../binding.ts';
import type { CachedRoute } from '../routes.ts';
import type { Principal } from '../principal.ts';
import type { Deduplication } from '../deduplication.ts';
import type { Queue } from '../queue.ts';
import type { Subscriptions } from '../subscription/subscriptions.ts';
import type { Matcher } from './matcher.ts';
import { TopicMatcher } from './topic.ts';

export interface ExchangeTraits {
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: FieldTable;
}

/** An exchange as the broker knows it: its traits, its bindings, and what is remembered of routes through it. */
export class Exchange {
  readonly kind = 'exchange';
  readonly name: string;
  readonly traits: ExchangeTraits;
  readonly matcher: Matcher;
  /** Routing keys are topics, for which there are permissions of their own. */
  readonly byTopic: boolean;
  /** Where messages go that match no binding. */
  readonly alternate: string | null;
  /** The engine's queue that comes and goes with it, without an AMQP name. Null: it needs none. */
  readonly owned: Queue | null;
  /** That queue, where it holds what is delayed (`x-delayed-message`). */
  readonly holding: Queue | null;
  /** Whose ids that queue remembers. */
  readonly deduplication: Deduplication | null;
  /** Those that it is the source of. */
  readonly bindings = new Map<string, Binding>();
  /** Those that it is the destination of. */
  readonly incoming = new Set<Binding>();
  /** Grows with each change of its bindings. */
  version = 0;
  /** Null: nobody can subscribe to its topics. */
  subscriptions: Subscriptions | null = null;
  /** Grows with each change of them. */
  subscriptionsVersion = 0;

  readonly routes = new Map<string, CachedRoute>();
  /** Who may write to it, with the version of the permissions that said so. */
  readonly writers = new Map<Principal, number>();

  constructor(
    traits: ExchangeTraits,
    matcher: Matcher,
    alternate: string | null,
    owned: Queue | null = null,
    deduplication: Deduplication | null = null,
  ) {
    this.name = traits.name;
    this.traits = traits;
    this.matcher = matcher;
    this.byTopic = matcher instanceof TopicMatcher;
    this.alternate = alternate;
    this.owned = owned;
    this.holding = owned?.holds === true ? owned : null;
    this.deduplication = deduplication;
  }

  get durable(): boolean {
    return this.traits.durable;
  }
}
