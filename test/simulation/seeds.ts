import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';

/** Half of the seeds are always the same; the other half is drawn from the commit, so that each commit goes where none was before. */
export function drawSeeds(count: number, commit: string): number[] {
  const fixed = Math.ceil(count / 2);
  const seeds = Array.from({ length: fixed }, (_, seed) => seed);
  for (let block = 0; seeds.length < count; block++) {
    const digest = createHash('sha256').update(`${commit} ${block}`).digest();
    for (let at = 0; at < digest.length && seeds.length < count; at += 4) seeds.push(digest.readUInt32LE(at));
  }
  return seeds;
}

/** Outside of a repository there is none. */
export function currentCommit(): string {
  const { stdout, status } = spawnSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : 'no commit';
}
