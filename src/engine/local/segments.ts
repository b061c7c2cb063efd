/** What each segment holds, counted, so that nobody scans to find out. */
export class Segment {
  readonly id: number;
  /** Messages appended to it, once for each queue that got them. */
  total = 0;
  /** Those not settled yet. */
  alive = 0;
  /** Bytes of groups in it. */
  bytes = 0;
  /** No more groups go into it. */
  sealed = false;
  /** Sequence of the last group in it. */
  lastSequence = 0;
  /** Being compacted, or it was found damaged and is left alone. */
  busy = false;

  constructor(id: number) {
    this.id = id;
  }
}

export class SegmentTable {
  readonly #segments = new Map<number, Segment>();
  readonly #emptied: (segment: Segment) => void;

  /** `emptied` is called when a sealed segment has nothing alive any more. */
  constructor(emptied: (segment: Segment) => void) {
    this.#emptied = emptied;
  }

  add(id: number): Segment {
    const segment = new Segment(id);
    this.#segments.set(id, segment);
    return segment;
  }

  get(id: number): Segment | undefined {
    return this.#segments.get(id);
  }

  remove(id: number): void {
    this.#segments.delete(id);
  }

  values(): IterableIterator<Segment> {
    return this.#segments.values();
  }

  get size(): number {
    return this.#segments.size;
  }

  seal(segment: Segment): void {
    segment.sealed = true;
    if (segment.alive === 0) this.#emptied(segment);
  }

  appended(id: number, count: number): void {
    const segment = this.#segments.get(id);
    if (segment === undefined) return;
    segment.total += count;
    segment.alive += count;
  }

  /** At recovery: these were appended before the checkpoint. A segment that is not there is added: its file is missing. */
  revived(id: number, count: number): void {
    if (count === 0) return;
    const segment = this.#segments.get(id) ?? this.add(id);
    segment.alive += count;
  }

  settled(id: number, count: number): void {
    const segment = this.#segments.get(id);
    if (segment === undefined) return;
    segment.alive -= count;
    if (segment.alive === 0 && segment.sealed) this.#emptied(segment);
  }
}
