/**
 * Topic exchange: routing keys and patterns are words between dots; in a pattern `*` stands for one word, `#` for any
 * number of them, none too (0-9-1 §3.1.3.3). The empty key has no words, as in RabbitMQ.
 *
 * Patterns are a trie over words. Matching walks it with the set of nodes that the words so far can have reached, so its
 * cost is at most words x nodes reached, however many `#` a pattern has: backtracking would let one binding stop the broker.
 */
import type { FieldTable } from '../../format/field-table.ts';
import type { Binding, Destination } from '../binding.ts';
import type { Matcher } from './matcher.ts';

class Node {
  readonly parent: Node | null;
  readonly word: string;
  readonly children = new Map<string, Node>();
  bindings: Set<Binding> | null = null;
  /** The walk's step that reached it last: keeps a node from being reached twice in one step. */
  reached = 0;

  constructor(parent: Node | null, word: string) {
    this.parent = parent;
    this.word = word;
  }
}

export class TopicMatcher implements Matcher {
  readonly byHeaders = false;
  readonly #root = new Node(null, '');
  #step = 0;

  add(binding: Binding): void {
    let node = this.#root;
    for (const word of words(binding.routingKey)) {
      let child = node.children.get(word);
      if (child === undefined) {
        child = new Node(node, word);
        node.children.set(word, child);
      }
      node = child;
    }
    node.bindings ??= new Set();
    node.bindings.add(binding);
  }

  remove(binding: Binding): void {
    let node: Node | undefined = this.#root;
    for (const word of words(binding.routingKey)) {
      node = node.children.get(word);
      if (node === undefined) return;
    }
    if (node.bindings?.delete(binding) !== true || node.bindings.size > 0) return;
    node.bindings = null;
    while (node.parent !== null && node.bindings === null && node.children.size === 0) {
      node.parent.children.delete(node.word);
      node = node.parent;
    }
  }

  match(routingKey: string, _headers: FieldTable | null, found: Set<Destination>): void {
    let nodes: Node[] = [];
    this.#step += 1;
    this.#reach(this.#root, nodes);
    for (const word of words(routingKey)) {
      const next: Node[] = [];
      this.#step += 1;
      for (const node of nodes) {
        // A `#` takes this word too and stays.
        if (node.word === '#') this.#reach(node, next);
        this.#reach(node.children.get(word), next);
        if (word !== '*') this.#reach(node.children.get('*'), next);
      }
      nodes = next;
    }
    for (const node of nodes) {
      for (const binding of node.bindings ?? []) found.add(binding.destination);
    }
  }

  /** Adds the node, and the `#` below it, which matches no word at all. */
  #reach(from: Node | undefined, nodes: Node[]): void {
    let node = from;
    while (node !== undefined && node.reached !== this.#step) {
      node.reached = this.#step;
      nodes.push(node);
      node = node.children.get('#');
    }
  }
}

function words(key: string): string[] {
  return key === '' ? [] : key.split('.');
}
