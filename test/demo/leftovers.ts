/** What a demo must not leave behind. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';

/** Command lines of running programs that hold this word; nothing where there is no /proc to ask. */
export function running(word: string): string[] {
  if (!existsSync('/proc/self/cmdline')) return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => commandLineOf(pid))
    .filter((line) => line.includes(word));
}

function commandLineOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** What the demo left in its temporary directory (tsx caches there too). */
export async function left(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.startsWith('postrider-'));
}
