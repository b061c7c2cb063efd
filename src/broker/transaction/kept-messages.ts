/**
 * Hot: the publishes of an open transaction, one after the other as copied bytes; nothing is allocated for a message but its
 * entries here. Small ones share blocks, a larger one has a block of its own.
 *
 *   a message in a block := properties, body
 */
import type { Identity, MessageView } from '../../engine/engine.ts';
import { copyBytes, viewOf } from '../../format/copy.ts';
import type { Route } from '../route.ts';
import { blockBytes, firstBlockBytes, type TransactionBudget } from './transaction-budget.ts';

/** What a message takes beside its bytes, about. */
const entryBytes = 96;
/** Words of a message in `#places`: block, start, end of the properties, end of the body, expiresAt, dueAt, priority. */
const width = 7;

export class KeptMessages {
  readonly #budget: TransactionBudget;
  readonly #blocks: Buffer[] = [];
  /** Where the last shared block is filled to. */
  #filledTo = 0;
  /** How long it is. */
  #sharedBytes = 0;
  #shared = -1;
  #places = new Float64Array(16 * width);
  readonly #routes: Route[] = [];
  readonly #identities: (Identity | null)[] = [];
  /** Of the budget. */
  #bytes = 0;

  constructor(budget: TransactionBudget) {
    this.#budget = budget;
  }

  get count(): number {
    return this.#routes.length;
  }

  /** What it takes of the budget. */
  get bytes(): number {
    return this.#bytes;
  }

  route(index: number): Route {
    return this.#routes[index]!;
  }

  /** `nowMs`: times in the message are kept relative to it. False: there is no room. */
  add(route: Route, message: MessageView, nowMs: number): boolean {
    const propertyBytes = message.propertiesEnd - message.propertiesStart;
    const bodyBytes = message.bodyEnd - message.bodyStart;
    const block = this.#room(propertyBytes + bodyBytes);
    if (block < 0) return false;
    const bytes = this.#blocks[block]!;
    const start = block === this.#shared ? this.#filledTo : 0;
    const view = viewOf(bytes);
    const propertiesEnd = copyBytes(message.head, message.propertiesStart, message.propertiesEnd, bytes, view, start);
    const end = copyBytes(message.body, message.bodyStart, message.bodyEnd, bytes, view, propertiesEnd);
    if (block === this.#shared) this.#filledTo = end;
    const at = this.#routes.length * width;
    if (at === this.#places.length) this.#grow();
    const places = this.#places;
    places[at] = block;
    places[at + 1] = start;
    places[at + 2] = propertiesEnd;
    places[at + 3] = end;
    places[at + 4] = message.expiresAt === 0 ? -1 : Math.max(0, message.expiresAt - nowMs);
    places[at + 5] = message.dueAt === 0 ? -1 : Math.max(0, message.dueAt - nowMs);
    places[at + 6] = message.priority;
    this.#routes.push(route);
    this.#identities.push(message.identity);
    return true;
  }

  /** Points `view` at a message, as published at `nowMs`. */
  read(index: number, view: MessageView, nowMs: number): void {
    const places = this.#places;
    const at = index * width;
    const bytes = this.#blocks[places[at]!]!;
    view.head = bytes;
    view.envelopeStart = 0;
    view.envelopeEnd = 0;
    view.propertiesStart = places[at + 1]!;
    view.propertiesEnd = places[at + 2]!;
    view.body = bytes;
    view.bodyStart = places[at + 2]!;
    view.bodyEnd = places[at + 3]!;
    const expiresIn = places[at + 4]!;
    const dueIn = places[at + 5]!;
    view.expiresAt = expiresIn < 0 ? 0 : nowMs + expiresIn;
    view.dueAt = dueIn < 0 ? 0 : nowMs + dueIn;
    view.priority = places[at + 6]!;
    view.identity = this.#identities[index]!;
  }

  clear(): void {
    for (const block of this.#blocks) this.#budget.recycle(block);
    this.#blocks.length = 0;
    this.#routes.length = 0;
    this.#identities.length = 0;
    this.#shared = -1;
    this.#filledTo = 0;
    this.#sharedBytes = 0;
    this.#budget.give(this.#bytes);
    this.#bytes = 0;
    if (this.#places.length > 1024 * width) this.#places = new Float64Array(16 * width);
  }

  /** The block that takes so many bytes; -1: there is no room for them. */
  #room(bytes: number): number {
    const isLarge = bytes > blockBytes / 2;
    const needsBlock = isLarge || this.#shared < 0 || this.#filledTo + bytes > this.#sharedBytes;
    const size = isLarge ? bytes : this.#shared < 0 && bytes <= firstBlockBytes ? firstBlockBytes : blockBytes;
    const taken = entryBytes + (needsBlock ? size : 0);
    if (!this.#budget.take(taken)) return -1;
    this.#bytes += taken;
    if (!needsBlock) return this.#shared;
    const block = this.#blocks.push(isLarge ? Buffer.allocUnsafeSlow(bytes) : this.#budget.block(size)) - 1;
    if (!isLarge) {
      this.#shared = block;
      this.#sharedBytes = size;
      this.#filledTo = 0;
    }
    return block;
  }

  #grow(): void {
    const grown = new Float64Array(this.#places.length * 2);
    grown.set(this.#places);
    this.#places = grown;
  }
}
