import { fileURLToPath } from 'node:url';

/** `file:./data`, `file:data` and `file:/var/data` as they look; `file:///var/data` as a URL. Empty: it names none. @throws TypeError */
export function fileDirectory(url: string): string {
  const path = url.slice('file:'.length);
  return path.startsWith('//') ? fileURLToPath(url) : path;
}
