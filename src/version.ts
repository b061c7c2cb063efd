import { readFileSync } from 'node:fs';

// package.json stands one level above both src/ and dist/.
const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

/** The version of this package, as `package.json` states it. */
export const version: string = manifest.version;
