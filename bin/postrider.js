#!/usr/bin/env node
// Plain JavaScript that even an old Node parses, so that the wrong version is told in one line
// instead of a stack trace (hence no top-level await).
import { existsSync } from 'node:fs';

const oldest = [20, 19];
const [major, minor] = process.versions.node.split('.').map(Number);
const entry = new URL('../dist/cli/main.js', import.meta.url);

if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
  console.error(`postrider: needs Node ${oldest.join('.')} or newer, but this is Node ${process.versions.node}`);
  process.exitCode = 1;
} else if (!existsSync(entry)) {
  console.error('postrider: not built yet; run `npm ci` (or `npm run build`) in its folder first');
  process.exitCode = 1;
} else {
  import(entry.href);
}
