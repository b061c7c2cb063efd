/**
 * Hot: the places of the handlers that run at a time. A place that is free is taken again, with the functions that a handler's
 * promise calls: a message costs none of its own.
 */
import type { Message } from './message.ts';

/** What handlers' promises tell. */
export interface PlaceOwner {
  fulfilled(message: Message): void;
  rejected(message: Message, error: unknown): void;
}

export class Places {
  readonly #owner: PlaceOwner;
  readonly #taken: Place[] = [];
  readonly #free: Place[] = [];

  constructor(owner: PlaceOwner) {
    this.#owner = owner;
  }

  /** How many are taken. */
  get size(): number {
    return this.#taken.length;
  }

  /** The messages that hold a place, in no order. */
  get messages(): Message[] {
    return this.#taken.map(({ message }) => message!);
  }

  /** For a message until it leaves. `answer`: the promise of its handler, null where that has ended. `period`: in which it began. */
  take(message: Message, answer: Promise<unknown> | null, period: number): void {
    const place = this.#free.pop() ?? new Place(this, this.#owner);
    place.message = message;
    place.startedIn = period;
    place.at = this.#taken.length;
    this.#taken.push(place);
    message.place = place;
    if (answer === null) return;
    place.pending = true;
    answer.then(place.fulfilled, place.rejected);
  }

  /** False: it had none. */
  leave(message: Message): boolean {
    const { place } = message;
    if (place === null) return false;
    message.place = null;
    const last = this.#taken.pop()!;
    if (last.at !== place.at) {
      last.at = place.at;
      this.#taken[last.at] = last;
    }
    place.at = -1;
    if (!place.pending) this.release(place);
    return true;
  }

  /** Those whose handlers began in that period or before. */
  since(period: number): Message[] {
    return this.#taken.filter(({ startedIn }) => startedIn <= period).map(({ message }) => message!);
  }

  /** @internal Its message has left, and its promise has answered. */
  release(place: Place): void {
    place.message = null;
    this.#free.push(place);
  }
}

export class Place {
  message: Message | null = null;
  startedIn = 0;
  /** Among those that are taken; -1: its message has left. */
  at = -1;
  /** The promise has not answered: it can't be taken again before. */
  pending = false;
  readonly fulfilled: () => void;
  readonly rejected: (error: unknown) => void;

  constructor(places: Places, owner: PlaceOwner) {
    const answered = (): Message => {
      const message = this.message!;
      this.pending = false;
      if (this.at === -1) places.release(this);
      return message;
    };
    this.fulfilled = () => owner.fulfilled(answered());
    this.rejected = (error) => owner.rejected(answered(), error);
  }
}
