import type { MessageView } from '../../engine/engine.ts';
import type { Route } from '../route.ts';
import type { Subscriber } from './subscriber.ts';

/**
 * Hot. The one place where messages go to subscribers without a queue between: at once and once at most. Whoever routes a message later
 * than it was published (dead letters, delayed ones, transactions) calls it when that is durable.
 */
export function handToLive(route: Route, message: MessageView, publisher: Subscriber | null): void {
  const { live } = route;
  if (live === null) return;
  const topic = route.topic ?? '';
  for (let i = 0; i < live.length; i++) live[i]!.sink?.take(message, route, topic, publisher);
}
