// Hot path: allocates nothing for short ranges.
//
// Short ranges go through a loop of 32-bit words over DataViews; `Buffer.copy` and `TypedArray.set` make a view and call into
// C++, which costs as much as 130 bytes of that loop (Node 20). 64-bit words would need a BigInt, or a double, which does not
// carry every NaN unchanged.

const longRange = 144;

let cachedBytes: Uint8Array = new Uint8Array(0);
let cachedView = new DataView(cachedBytes.buffer);

/** A DataView over exactly these bytes; the last one is kept, so a run over one buffer makes one view. */
export function viewOf(bytes: Uint8Array): DataView {
  if (bytes !== cachedBytes) {
    cachedView = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    cachedBytes = bytes;
  }
  return cachedView;
}

/** Copies `source[from, to)` to `target` at `at`; each view must be of its buffer. Answers the end in `target`. */
export function copyBytes(
  source: Uint8Array,
  sourceView: DataView,
  from: number,
  to: number,
  target: Uint8Array,
  targetView: DataView,
  at: number,
): number {
  const length = to - from;
  if (length >= longRange) {
    target.set(source.subarray(from, to), at);
    return at + length;
  }
  const end = at + length;
  for (; at + 16 <= end; at += 16, from += 16) {
    targetView.setInt32(at, sourceView.getInt32(from, true), true);
    targetView.setInt32(at + 4, sourceView.getInt32(from + 4, true), true);
    targetView.setInt32(at + 8, sourceView.getInt32(from + 8, true), true);
    targetView.setInt32(at + 12, sourceView.getInt32(from + 12, true), true);
  }
  for (; at + 4 <= end; at += 4, from += 4) targetView.setInt32(at, sourceView.getInt32(from, true), true);
  for (; at < end; at++, from++) target[at] = source[from]!;
  return end;
}

/** Whether two ranges hold the same bytes. */
export function equalBytes(
  left: Uint8Array,
  leftView: DataView,
  leftFrom: number,
  right: Uint8Array,
  rightView: DataView,
  rightFrom: number,
  length: number,
): boolean {
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    if (leftView.getInt32(leftFrom + at, true) !== rightView.getInt32(rightFrom + at, true)) return false;
  }
  for (; at < length; at++) if (left[leftFrom + at] !== right[rightFrom + at]) return false;
  return true;
}
