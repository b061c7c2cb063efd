/** Counts of what a run really exercised, by name (`op.append`, `fault.write.torn`, ...). */
export class Coverage {
  readonly counts = new Map<string, number>();

  add(name: string, count = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + count);
  }

  merge(entries: Iterable<readonly [string, number]>): void {
    for (const [name, count] of entries) this.add(name, count);
  }

  of(name: string): number {
    return this.counts.get(name) ?? 0;
  }

  /** A table, grouped by the word before the first dot. */
  table(): string {
    const groups = new Map<string, [string, number][]>();
    for (const [name, count] of [...this.counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const dot = name.indexOf('.');
      const group = name.slice(0, dot);
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group)!.push([name.slice(dot + 1), count]);
    }
    const lines: string[] = [];
    for (const [group, rows] of groups) {
      lines.push(`${group}:`);
      for (const [name, count] of rows) lines.push(`  ${name.padEnd(44)} ${String(count).padStart(12)}`);
    }
    return lines.join('\n');
  }
}
