const most = 8;

/** Ascending numbers as people write them: `3, 5-9`; where they are many the last ones are left out. */
export function lineRanges(lines: readonly number[]): string {
  const ranges: string[] = [];
  for (let at = 0; at < lines.length;) {
    const first = lines[at]!;
    let last = first;
    while (lines[++at] === last + 1) last += 1;
    ranges.push(last === first ? `${first}` : `${first}-${last}`);
  }
  return ranges.length <= most ? ranges.join(', ') : `${ranges.slice(0, most).join(', ')} and more`;
}
