/**
 * Who subscribes to which topics of an exchange. Filters are a trie over levels. A topic's levels lead to each node on one way only, so a search
 * looks at no node twice: at most at as many as there are, and for filters without `+` at one a level. It does not depend on how many
 * others there are.
 *
 * A wildcard at the first level matches no topic that begins with `$`.
 */
import type { SharedGroup } from './shared-group.ts';
import type { Subscriber } from './subscriber.ts';
import type { Subscription } from './subscription.ts';

class Node {
  readonly parent: Node | null;
  readonly level: string;
  children: Map<string, Node> | null = null;
  subscriptions: Map<Subscriber, Subscription> | null = null;
  groups: Map<string, SharedGroup> | null = null;

  constructor(parent: Node | null, level: string) {
    this.parent = parent;
    this.level = level;
  }

  get isEmpty(): boolean {
    return this.children === null && this.subscriptions === null && this.groups === null;
  }
}

/** Is told what matches. */
export interface MatchTaker {
  subscription(subscription: Subscription): void;
  group(group: SharedGroup): void;
}

export class Subscriptions {
  readonly #root = new Node(null, '');
  /** Subscriptions and groups. */
  size = 0;
  /** Nodes that were looked at by searches so far. */
  steps = 0;

  add(subscription: Subscription): void {
    const node = this.#make(subscription.filter);
    node.subscriptions ??= new Map();
    if (!node.subscriptions.has(subscription.subscriber)) this.size += 1;
    node.subscriptions.set(subscription.subscriber, subscription);
  }

  remove({ filter, subscriber }: Subscription): void {
    const node = this.#find(filter);
    if (node?.subscriptions?.delete(subscriber) !== true) return;
    this.size -= 1;
    if (node.subscriptions.size === 0) node.subscriptions = null;
    prune(node);
  }

  group(name: string, filter: string): SharedGroup | undefined {
    return this.#find(filter)?.groups?.get(name);
  }

  addGroup(group: SharedGroup): void {
    const node = this.#make(group.filter);
    node.groups ??= new Map();
    node.groups.set(group.name, group);
    this.size += 1;
  }

  removeGroup({ name, filter }: SharedGroup): void {
    const node = this.#find(filter);
    if (node?.groups?.delete(name) !== true) return;
    this.size -= 1;
    if (node.groups.size === 0) node.groups = null;
    prune(node);
  }

  match(topic: string, taker: MatchTaker): void {
    if (this.size === 0) return;
    this.#search(topic, (node) => {
      for (const subscription of node.subscriptions?.values() ?? []) taker.subscription(subscription);
      for (const group of node.groups?.values() ?? []) taker.group(group);
    });
  }

  matchingOf(subscriber: Subscriber, topic: string): Subscription[] {
    const found: Subscription[] = [];
    this.#search(topic, ({ subscriptions }) => {
      const subscription = subscriptions?.get(subscriber);
      if (subscription !== undefined) found.push(subscription);
    });
    return found;
  }

  #search(topic: string, take: (node: Node) => void): void {
    if (topic === '') return;
    const levels = topic.split('/');
    const walk = (node: Node, at: number): void => {
      this.steps += 1;
      // A search is as deep as the trie at most, whatever the topic has.
      const { children } = node;
      if (children !== null) {
        const wildcards = at > 0 || topic.charCodeAt(0) !== 0x24;
        const rest = wildcards ? children.get('#') : undefined;
        if (rest !== undefined) take(rest);
        if (at < levels.length) {
          const level = levels[at]!;
          const child = level === '#' || level === '+' ? undefined : children.get(level);
          if (child !== undefined) walk(child, at + 1);
          const one = wildcards ? children.get('+') : undefined;
          if (one !== undefined) walk(one, at + 1);
        }
      }
      if (at === levels.length) take(node);
    };
    walk(this.#root, 0);
  }

  #make(filter: string): Node {
    let node = this.#root;
    for (const level of filter.split('/')) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) {
        child = new Node(node, level);
        node.children.set(level, child);
      }
      node = child;
    }
    return node;
  }

  #find(filter: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const level of filter.split('/')) node = node?.children?.get(level);
    return node;
  }
}

function prune(from: Node): void {
  let node = from;
  while (node.parent !== null && node.isEmpty) {
    const { parent } = node;
    parent.children!.delete(node.level);
    if (parent.children!.size === 0) parent.children = null;
    node = parent;
  }
}
