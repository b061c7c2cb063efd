/** Where the story is told. */
export interface Screen {
  /** False: `live` shows nothing. */
  readonly isLive: boolean;
  readonly paint: Readonly<Record<'bold' | 'dim' | 'red' | 'green', (text: string) => string>>;
  say(line: string): void;
  bar(done: number, total: number, width: number): string;
  /** A last line, rewritten in place. */
  live(text: string): void;
}

export function count(number: number): string {
  return number.toLocaleString('en-US');
}
