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

  /** What a filter matches. A wildcard at its first level matches no topic that begins with `$`. */
  matching(filter: string): RetainedMessage[] {
    const found: RetainedMessage[] = [];
    let nodes = [this.#root];
    const levels = filter.split('/');
    for (let at = 0; at < levels.length && nodes.length > 0; at++) {
      const level = levels[at]!;
      if (level === '#') {
        // The level before it, too.
        takeAll(nodes, found, at === 0);
        return found;
      }
      const next: Node[] = [];
      for (const { children } of nodes) {
        if (children === null) continue;
        if (level !== '+') {
          const child = children.get(level);
          if (child !== undefined) next.push(child);
          continue;
        }
        for (const child of children.values()) if (at > 0 || !isHidden(child)) next.push(child);
      }
      nodes = next;
    }
    for (const { message } of nodes) if (message !== null) found.push(message);
    return found;
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

function takeAll(nodes: Node[], found: RetainedMessage[], fromRoot: boolean): void {
  // Not recursive: a topic may have thousands of levels.
  const open = nodes;
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (node.message !== null) found.push(node.message);
    if (node.children === null) continue;
    for (const child of node.children.values()) {
      if (!fromRoot || node.parent !== null || !isHidden(child)) open.push(child);
    }
  }
}

function isHidden({ level }: Node): boolean {
  return level.startsWith('$');
}
