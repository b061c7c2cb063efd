import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Result } from './expectations.ts';
import { runToEnd } from './run-to-end.ts';

/** Those that need a broker: the rest of pika's acceptance tests is about its sockets. */
const files = ['blocking_adapter_test', 'async_adapter_tests', 'enforce_one_basicget_test', 'twisted_adapter_tests'];
const requirements = fileURLToPath(new URL('pika-requirements.txt', import.meta.url));

const tlsFiles = ['async_adapter_tests'];

/** The certificates with which its tests speak TLS. */
export function pikaTls(checkout: string): string[] {
  const file = (name: string): string => join(checkout, 'testdata', 'certs', name);
  const options = { cert: 'server_certificate.pem', key: 'server_key.pem', 'client-ca': 'ca_certificate.pem' };
  return Object.entries(options).flatMap(([name, value]) => [`--tls-${name}`, file(value)]);
}

/** pika's acceptance tests, with pytest in an environment of their own; those that can speak TLS a second time over it. */
export async function runPika(checkout: string, scratch: string): Promise<Result[]> {
  const environment = join(scratch, 'venv');
  const python = join(environment, 'bin', 'python');
  await mustRun('python3', ['-m', 'venv', environment]);
  await mustRun(python, ['-m', 'pip', 'install', '--quiet', '--requirement', requirements]);
  return [...(await pytest(files, 'plain', [], '')), ...(await pytest(tlsFiles, 'tls', ['--use-tls'], 'tls: '))];

  async function pytest(
    names: readonly string[],
    run: string,
    more: readonly string[],
    prefix: string,
  ): Promise<Result[]> {
    const resultPath = join(scratch, `pika-${run}.xml`);
    const args = ['-m', 'pytest', '--quiet', `--junit-xml=${resultPath}`, '-p', 'no:cacheprovider', ...more];
    await runToEnd(python, [...args, ...names.map((name) => `tests/acceptance/${name}.py`)], checkout);
    if (!existsSync(resultPath)) throw new Error('pytest left no results');
    return readJunit(readFileSync(resultPath, 'utf8')).map(({ test, outcome }) => ({ test: prefix + test, outcome }));
  }

  async function mustRun(program: string, words: readonly string[]): Promise<void> {
    const code = await runToEnd(program, words, checkout);
    if (code !== 0) throw new Error(`${program} ${words.join(' ')}: exit code ${code}`);
  }
}

/** As pytest writes it. */
function readJunit(xml: string): Result[] {
  const cases = xml.matchAll(/<testcase classname="([^"]*)" name="([^"]*)"[^>]*?(?:\/>|>(.*?)<\/testcase>)/gs);
  return Array.from(cases, ([, className, name, inside = '']) => {
    const outcome = /<(failure|error)\b/.test(inside) ? 'fail' : inside.includes('<skipped') ? 'skip' : 'pass';
    return { test: `${className!.replace('tests.acceptance.', '')}.${name!}`, outcome };
  });
}
