/**
 * Whether the groups of all segments follow one upon the other, and if not, whether that is damage: a group is missing although
 * something proves that it was durable once, by the same proofs that recovery goes by. Anything else is a torn tail.
 */
import { SEGMENT_HEADER_BYTES } from './segment-file.ts';
import type { ByteRange, ScannedPiece } from './segment-scan.ts';

/** Neighbouring whole groups of one segment, or one piece that asks for judgement. */
type Stretch =
  | (ByteRange & { readonly kind: 'groups'; readonly first: number; readonly last: number })
  | Extract<ScannedPiece, { kind: 'gap' }>
  | (ByteRange & { readonly kind: 'torn'; readonly sequence: number; readonly damagedRuns: readonly ByteRange[] });

/** What is kept of a segment once its bytes are let go. */
export class SegmentOutline {
  readonly id: number;
  readonly bytes: number;
  readonly headerIsWhole: boolean;
  readonly stretches: Stretch[] = [];
  /** A group that was durable, as a group here says. */
  proven = 0;
  /** Groups that belong to the journal, as `judge` found. */
  groups = 0;
  firstSequence = 0;
  lastSequence = 0;

  constructor(id: number, bytes: number, headerIsWhole: boolean) {
    this.id = id;
    this.bytes = bytes;
    this.headerIsWhole = headerIsWhole;
  }

  add(piece: ScannedPiece): void {
    if (piece.kind === 'gap') {
      this.stretches.push(piece);
      return;
    }
    const { from, to, sequence, damagedRuns } = piece;
    this.proven = Math.max(this.proven, piece.syncedThrough);
    const before = this.stretches[this.stretches.length - 1];
    if (damagedRuns.length > 0) this.stretches.push({ kind: 'torn', from, to, sequence, damagedRuns });
    else if (before?.kind === 'groups' && before.last + 1 === sequence)
      this.stretches[this.stretches.length - 1] = { ...before, to, last: sequence };
    else this.stretches.push({ kind: 'groups', from, to, first: sequence, last: sequence });
  }

  /** Sequence of the group with which the segment begins; 0: none stands there. */
  get opening(): number {
    const first = this.stretches[0]!;
    return first.kind === 'groups' ? first.first : first.kind === 'torn' ? first.sequence : 0;
  }

  accept(first: number, last: number): void {
    if (this.groups === 0) this.firstSequence = first;
    this.lastSequence = last;
    this.groups += last - first + 1;
  }
}

/** What the newest whole checkpoint knows. */
export interface Known {
  /** Where the journal goes on behind the checkpoint. */
  readonly segment: number;
  readonly offset: number;
  /** Of the last group that the checkpoint covers. */
  readonly sequence: number;
  /** Sequence of the last group in each segment before that one. */
  readonly lastSequence: ReadonlyMap<number, number>;
}

export interface ContinuityReport {
  readonly damage: readonly (ByteRange & { readonly segment: number; readonly what: string })[];
  readonly tornTail: { readonly segment: number; readonly at: number } | null;
}

/** `proven`: the newest group that a checkpoint, whole or not, says was durable. `expected`: the first group there must be; 0: unknown. */
export function judge(
  outlines: readonly SegmentOutline[],
  known: Known | null,
  proven: number,
  expected: number,
): ContinuityReport {
  const damage: (ByteRange & { segment: number; what: string })[] = [];
  const openings = new Map(outlines.map((outline) => [outline.opening, outline.id]));
  const durable = Math.max(proven, ...outlines.map((outline) => outline.proven));
  for (const [index, outline] of outlines.entries()) {
    const { id: segment } = outline;
    /** The journal has its groups up to this one here; 0: it has none, or nobody knows. */
    let last = 0;
    if (known !== null && segment <= known.segment) {
      // Segments may be gone below the checkpoint's: what they held had been settled.
      expected = 0;
      if (segment < known.segment) last = known.lastSequence.get(segment) ?? 0;
      else if (known.offset > SEGMENT_HEADER_BYTES) last = known.sequence;
      else expected = known.sequence + 1;
    }
    if (!outline.headerIsWhole)
      damage.push({ segment, from: 0, to: SEGMENT_HEADER_BYTES, what: 'its header is not what was written' });
    for (const stretch of outline.stretches) {
      const { from, to } = stretch;
      // What stands behind the last group that the checkpoint knows of was cut off once.
      if (known !== null && segment < known.segment && (last === 0 || expected > last)) break;
      if (stretch.kind === 'gap') {
        const wasHere = last > 0 && expected <= last;
        if (!wasHere) {
          if (expected > 0 && (openings.get(expected) ?? 0) > segment) break;
          if (expected > durable || (expected === 0 && !stretch.followed)) {
            if (stretch.followed || stretch.claims) return { damage, tornTail: { segment, at: from } };
            break;
          }
          const next = outlines[index + 1];
          const atEnd = !stretch.followed && !stretch.claims;
          const opening = next?.stretches[0];
          // The missing group was the first of the next segment, and is found damaged there.
          if (atEnd && opening?.kind === 'gap' && opening.claims) break;
          if (atEnd && next !== undefined && next.id > segment + 1) {
            damage.push({ segment: segment + 1, from: 0, to: 0, what: `it is missing, and group ${expected} with it` });
            expected = 0;
            break;
          }
        }
        damage.push({ segment, from, to, what: broken(expected, outline, to) });
        if (!stretch.followed) expected = wasHere ? last + 1 : 0;
        continue;
      }
      const first = stretch.kind === 'groups' ? stretch.first : stretch.sequence;
      // An earlier attempt at groups that another segment has.
      if (expected > 0 && first < expected) break;
      if (stretch.kind === 'torn') {
        if ((openings.get(first) ?? 0) > segment) break;
        if (first > durable) return { damage, tornTail: { segment, at: from } };
        for (const run of stretch.damagedRuns)
          damage.push({ segment, from: run.from, to: run.to, what: 'messages are not what was written' });
      }
      const through = stretch.kind === 'groups' ? stretch.last : stretch.sequence;
      outline.accept(first, through);
      expected = through + 1;
    }
  }
  return { damage, tornTail: null };
}

function broken(sequence: number, outline: SegmentOutline, to: number): string {
  const group = sequence === 0 ? 'a group' : `group ${sequence}`;
  return to > outline.bytes ? `${group} is cut off by the end of the file` : `${group} is not what was written`;
}
