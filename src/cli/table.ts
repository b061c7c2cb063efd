/** Rows in columns, for a person. */
import type { Paint } from './terminal.ts';

export interface Column {
  readonly title: string;
  /** Numbers stand below each other by their last digit. */
  readonly numeric?: boolean;
}

const gap = '  ';

/** The last column is cut where a line would be wider than the terminal; the others never are, as they are names to be used. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
  paint: Pick<Paint, 'bold'>,
): string[] {
  const widths = columns.map(({ title }, index) => Math.max(title.length, ...rows.map((row) => row[index]!.length)));
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, index) =>
      columns[index]!.numeric === true ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!),
    );
    const text = padded.join(gap).trimEnd();
    const lastAt = padded.slice(0, -1).join(gap).length + gap.length;
    return text.length > width ? `${text.slice(0, Math.max(lastAt, width - 1))}…` : text;
  };
  return [paint.bold(line(columns.map(({ title }) => title))), ...rows.map(line)];
}

/** A pipe and a file are as wide as it takes. */
export function widthOf(stream: { readonly isTTY?: boolean; readonly columns?: number }): number {
  return stream.isTTY === true ? (stream.columns ?? 80) : Infinity;
}

export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let amount = count;
  for (; amount >= 1024 && unit < units.length - 1; unit++) amount /= 1024;
  return `${unit === 0 ? amount : amount.toFixed(1)} ${units[unit]!}`;
}

export function number(value: number | null): string {
  return value === null ? '-' : value.toLocaleString('en-US');
}

export function messages(count: number): string {
  return count === 1 ? '1 message' : `${number(count)} messages`;
}
