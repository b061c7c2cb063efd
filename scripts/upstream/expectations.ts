/** What is known of each test of somebody else's suite, a line each: `pass NAME`, `skip NAME`, or `apart NAME | why it can't apply`. */

export interface Result {
  readonly test: string;
  /** `skip`: the suite itself left it out. */
  readonly outcome: 'pass' | 'fail' | 'skip';
}

export interface Expectation {
  readonly test: string;
  readonly kind: 'pass' | 'skip' | 'apart';
  /** Of a test that can't apply. */
  readonly reason: string;
}

export function readExpectations(text: string): Expectation[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const found = /^(pass|skip|apart) +(.+?)(?: \| (.+))?$/.exec(line);
    const [, kind, test, reason = ''] = found ?? [];
    if (test === undefined || (kind === 'apart') !== (reason !== '')) throw new Error(`not an expectation: ${line}`);
    return { test, kind: kind as Expectation['kind'], reason };
  });
}

/** What was found, as a list; reasons that are known stay. A test that fails and has none is listed as such: no list can be read with it. */
export function writeExpectations(results: readonly Result[], known: readonly Expectation[]): string {
  const reasons = new Map(known.map(({ test, reason }) => [test, reason]));
  const lines = results.map(({ test, outcome }) => {
    const reason = reasons.get(test) ?? '';
    return outcome === 'fail' && reason !== '' ? `apart ${test} | ${reason}` : `${outcome.padEnd(5)} ${test}`;
  });
  return `${lines.sort().join('\n')}\n`;
}

export interface Comparison {
  /** Tests that failed, as they must. */
  readonly apart: string[];
  readonly wrong: string[];
}

export function compare(results: readonly Result[], expectations: readonly Expectation[]): Comparison {
  const expected = new Map(expectations.map((expectation) => [expectation.test, expectation]));
  const apart: string[] = [];
  const wrong: string[] = [];
  for (const { test, outcome } of results) {
    const known = expected.get(test);
    expected.delete(test);
    if (known?.kind === 'apart') {
      if (outcome === 'fail') apart.push(`${test}: ${known.reason}`);
      else wrong.push(`${test}: listed as not applying, but its result is ${outcome}`);
    } else if (known === undefined) {
      // Of another version of the suite, perhaps.
      if (outcome !== 'pass') wrong.push(`${test}: ${outcome}, and is not on the list`);
    } else if (known.kind !== outcome) {
      wrong.push(`${test}: ${outcome} instead of ${known.kind}`);
    }
  }
  for (const { test } of expected.values()) wrong.push(`${test}: is on the list, and did not run`);
  return { apart, wrong };
}
