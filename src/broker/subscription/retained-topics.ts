/** Messages by topic: a trie over levels, so that a filter looks at what it may match and no more. */
import type { RetainedMessage } from './retained-message.ts';

class Node {
  readonly parent: Node | null;
  readonly level: string;
  children: Map<string, Node> | null = null;
  message: RetainedMessage | null = null;

  constructor(parent: Node | null, level: string) {
    this.parent = parent;
    this.level = level;
  }
}

/** Nodes that are still to be looked at, whose levels were matched up to `at`. */
interface Search {
  readonly nodes: Iterator<Node>;
  readonly at: number;
  /** All that is below them matches. */
  readonly rest: boolean;
  /** They are first levels, which a wildcard leads to. */
  readonly isFirst: boolean;
}

/** Levels that a search looks at between two rests. */
const levelsBetween = 16;

export class RetainedTopics {
  readonly #root = new Node(null, '');
  readonly #byTopic = new Map<string, Node>();

  get size(): number {
    return this.#byTopic.size;
  }

  get(topic: string): RetainedMessage | null {
    return this.#byTopic.get(topic)?.message ?? null;
  }

  has(topic: string): boolean {
    return this.#byTopic.has(topic);
  }

  /** In place of the one that the topic has. */
  set(message: RetainedMessage): void {
    const { topic } = message;
    let node = this.#byTopic.get(topic);
    if (node === undefined) {
      node = this.#make(topic);
      this.#byTopic.set(topic, node);
    }
    node.message = message;
  }

  delete(topic: string): void {
    const found = this.#byTopic.get(topic);
    if (found === undefined) return;
    this.#byTopic.delete(topic);
    found.message = null;
    prune(found);
  }

  *[Symbol.iterator](): Generator<RetainedMessage> {
    for (const { message } of this.#byTopic.values()) yield message!;
  }

  /**
   * What a filter matches, found step by step: messages may come, be replaced and go meanwhile. A wildcard at its first level matches no topic
   * that begins with `$`.
   */
  *matching(filter: string): Generator<RetainedMessage> {
    for (const message of this.search(filter)) if (message !== null) yield message;
  }

  /** The same; null after each few levels. */
  *search(filter: string): Generator<RetainedMessage | null> {
    let left = levelsBetween;
    const levels = filter.split('/');
    // Not recursive: a topic may have thousands of levels.
    const open: Search[] = [{ nodes: [this.#root].values(), at: 0, rest: false, isFirst: false }];
    for (let search = open.at(-1); search !== undefined; search = open.at(-1)) {
      const next = search.nodes.next();
      if (next.done === true) {
        open.pop();
        continue;
      }
      if (--left === 0) {
        left = levelsBetween;
        yield null;
      }
      if (search.isFirst && next.value.level.startsWith('$')) continue;
      const { rest, at } = search;
      const end = rest ? at : firstWildcard(levels, at);
      const node = descendant(next.value, levels, at, end);
      if (node === undefined) continue;
      const takesRest = rest || levels[end] === '#';
      if (node.message !== null && (takesRest || end === levels.length)) yield node.message;
      if (node.children === null || (!takesRest && end === levels.length)) continue;
      open.push({ nodes: node.children.values(), at: end + 1, rest: takesRest, isFirst: node === this.#root });
    }
  }

  #make(topic: string): Node {
    let node = this.#root;
    for (const level of topic.split('/')) {
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
}

function prune(from: Node): void {
  let node = from;
  while (node.parent !== null && node.message === null && node.children === null) {
    const { parent } = node;
    parent.children!.delete(node.level);
    if (parent.children!.size === 0) parent.children = null;
    node = parent;
  }
}

/** The first level from `at` on that is one, or the end. */
function firstWildcard(levels: readonly string[], at: number): number {
  let end = at;
  while (end < levels.length && levels[end] !== '+' && levels[end] !== '#') end += 1;
  return end;
}

/** Where the levels from `at` to `end` lead. */
function descendant(from: Node, levels: readonly string[], at: number, end: number): Node | undefined {
  let node: Node | undefined = from;
  for (let i = at; i < end && node !== undefined; i++) node = node.children?.get(levels[i]!);
  return node;
}
