/**
 * Makes plain JavaScript of the engine and of this simulation in a scratch directory, with a patch applied where a mutant asks for one. Runs are
 * faster so than through a loader, and the product's code needs no switch for the mutants' sake.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export interface Patch {
  /** Below the repository's root. */
  readonly file: string;
  /** Must stand in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const folders = ['src/engine', 'src/format', 'src/verify', 'test/simulation'];

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
  inlineSourceMap: true,
};

/** By text: the builds of several mutants differ in one file each. */
const outputs = new Map<string, string>();

function transpiled(file: string, text: string): string {
  let output = outputs.get(text);
  if (output === undefined) {
    output = ts.transpileModule(text, { compilerOptions: options, fileName: join(root, file) }).outputText;
    outputs.set(text, output);
  }
  return output;
}

export interface Build {
  readonly directory: string;
  remove(): void;
}

/** @throws Error if a patch does not match exactly once: the code has moved on, and so must the patch. */
export function build(patches: readonly Patch[] = []): Build {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-simulation-'));
  try {
    writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
    symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
    const unused = new Set(patches);
    for (const folder of folders) {
      for (const name of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
        if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
        const file = `${folder}/${name}`;
        let text = readFileSync(join(root, file), 'utf8');
        for (const patch of patches) {
          if (patch.file !== file) continue;
          text = applied(patch, text);
          unused.delete(patch);
        }
        const path = join(directory, file.replace(/\.ts$/, '.js'));
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, transpiled(file, text));
      }
    }
    for (const patch of unused) throw new Error(`no such file to patch: ${patch.file}`);
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

function applied(patch: Patch, text: string): string {
  const times = text.split(patch.find).length - 1;
  if (times !== 1) throw new Error(`${patch.file}: the text to patch stands ${times} times, not once:\n${patch.find}`);
  return text.replace(patch.find, () => patch.replace);
}
